//! A job, and how it is stored.

use apalis::prelude::Codec;
use serde::{Deserialize, Serialize};
use std::{convert::Infallible, path::PathBuf};

/// What is to be done: the checksum of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The file to read.
    #[serde(with = "path")]
    pub file: PathBuf,
    /// The directory that the result is written to.
    #[serde(with = "path")]
    pub results: PathBuf,
    /// What distinguishes this job from all others: its result is stored under this name, and a
    /// store accepts it only once.
    pub key: String,
}

impl Job {
    /// The job that `stored` holds, or the reason why it holds none.
    pub(crate) fn decode(stored: &[u8]) -> Result<Job, String> {
        serde_json::from_slice(stored).map_err(|error| format!("cannot be decoded: {error}"))
    }
}

/// A path in JSON: a string, or an array of bytes if it is not UTF-8.
mod path {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::{
        ffi::OsString,
        os::unix::ffi::{OsStrExt, OsStringExt},
        path::{Path, PathBuf},
    };

    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a path: a string or an array of bytes")]
    enum Stored {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        match path.to_str() {
            Some(text) => to.serialize_str(text),
            None => path.as_os_str().as_bytes().serialize(to),
        }
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<PathBuf, D::Error> {
        Ok(match Stored::deserialize(from)? {
            Stored::Text(text) => text.into(),
            Stored::Bytes(bytes) => OsString::from_vec(bytes).into(),
        })
    }
}

/// Hands a stored job to the worker as it is. apalis: a job that its codec cannot decode ends the
/// worker, and is the first one that the next worker fetches. So the worker decodes it itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undecoded;

impl Codec<Vec<u8>> for Undecoded {
    type Error = Infallible;
    type Compact = Vec<u8>;

    fn encode(&self, stored: &Vec<u8>) -> Result<Vec<u8>, Infallible> {
        Ok(stored.clone())
    }

    fn decode(&self, stored: &Vec<u8>) -> Result<Vec<u8>, Infallible> {
        Ok(stored.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    #[test]
    fn every_path_can_be_stored() {
        let key = String::from("k");
        for path in [&b"/a/\xe4\xb8\xad"[..], b"/a\nb\\", b"/\xff\xfe"] {
            let path = PathBuf::from(OsStr::from_bytes(path));
            let job = Job { file: path.clone(), results: path, key: key.clone() };
            assert_eq!(Job::decode(&serde_json::to_vec(&job).unwrap()), Ok(job));
        }
        // As it was stored before paths could be bytes.
        let old = Job::decode(br#"{"file":"/a","results":"/r","key":"k"}"#).unwrap();
        assert_eq!((old.file, old.results), ("/a".into(), "/r".into()));
    }

    #[test]
    fn what_is_not_a_job_is_refused_with_a_reason() {
        for stored in
            [&b""[..], b"{}", b"\xff", b"7", br#"{"file":"#, br#"{"file":7,"results":"","key":""}"#]
        {
            assert!(Job::decode(stored).unwrap_err().starts_with("cannot be decoded: "));
        }
    }
}
