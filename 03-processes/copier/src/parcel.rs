//! What travels to a worker and back: some names in one directory, and what became of them.

use std::ffi::CStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::OnExists;
use super::dir_path::DirPath;
use super::place::End;

/// Names a parcel has at most; what a worker has done of it is kept in so many bits.
pub(super) const NAMES: usize = 128;

/// Bytes after which a worker gives the rest of its parcel back, so that others can take a share of
/// large files.
pub(super) const BUDGET: u64 = 8 << 20;

/// A longer path is not sent to another process.
const LONG_PATH: usize = 1024;

/// How the directory that a parcel's files go to stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ground {
    /// Not there yet. The parcel is all that is in it: it is filled under a temporary name, and
    /// renamed once.
    Unmade,
    /// Made by this run: nothing is in the way in it.
    Fresh,
    /// It was there before.
    Used,
}

/// A source and its target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Tree {
    pub(super) source: End,
    pub(super) target: End,
}

/// How a reference to a tree is sent: as the tree.
mod shared {
    use super::{Arc, Deserialize, Serialize, Tree};

    pub(super) fn serialize<S: serde::Serializer>(tree: &Tree, to: S) -> Result<S::Ok, S::Error> {
        tree.serialize(to)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        from: D,
    ) -> Result<Arc<Tree>, D::Error> {
        Tree::deserialize(from).map(Arc::new)
    }
}

/// Files of one directory, to be copied by one worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Parcel {
    /// Different for each parcel of a run.
    pub(super) id: u64,
    #[serde(with = "shared")]
    pub(super) tree: Arc<Tree>,
    /// The directory below the source, and what it is below the target.
    pub(super) folder: DirPath,
    pub(super) target_folder: DirPath,
    pub(super) ground: Ground,
    /// The directory below the target in which temporary files and directories are made, above
    /// `target_folder` or the same: what they inherit from it (group, access control list, quota)
    /// is what they would inherit where they will be.
    pub(super) base: DirPath,
    /// For each name its kind (`f`: a regular file, `o`: anything else), the name, and a NUL.
    pub(super) names: Vec<u8>,
    /// The name in the target, where it is another one; the parcel has one name then.
    pub(super) renamed: Option<Vec<u8>>,
    /// Whether to copy a file that has several names. Otherwise it is only reported, so that all
    /// its names can stay one file.
    pub(super) take_linked: bool,
    /// Further names of the file whose first name this is, a parcel for each; and the file's device
    /// and inode.
    pub(super) further: Vec<Parcel>,
    pub(super) inode: (u64, u64),
}

impl Parcel {
    /// The kinds and names.
    pub(super) fn names(&self) -> impl Iterator<Item = (u8, &CStr)> {
        self.names.split_inclusive(|byte| *byte == 0).filter_map(|entry| {
            let (kind, name) = entry.split_first()?;
            Some((*kind, CStr::from_bytes_with_nul(name).ok()?))
        })
    }

    /// How many names it has, those of `further` included.
    pub(super) fn count(&self) -> usize {
        self.names().count() + self.further.len()
    }

    /// The name at a position.
    pub(super) fn name(&self, index: usize) -> Vec<u8> {
        self.names().nth(index).map_or_else(Vec::new, |(_, name)| name.to_bytes().to_vec())
    }

    /// The path of the name at a position, in the source.
    pub(super) fn source_path(&self, index: usize) -> Vec<u8> {
        match index.checked_sub(self.names().count()) {
            Some(further) if further < self.further.len() => self.further[further].source_path(0),
            _ => self.folder.below(&self.tree.source.path, Some(&self.name(index))),
        }
    }

    /// Whether it is left to the threads of this process, since it is too long to be sent to
    /// another one. They share the memory of its path and go from one directory to the next; a
    /// worker process would get each name of the path, in each message.
    pub(super) fn is_long(&self) -> bool {
        let is_deep = |parcel: &Parcel| parcel.target_folder.length() > LONG_PATH;
        is_deep(self) || self.further.len() > NAMES || self.further.iter().any(is_deep)
    }

    /// The names from a position on, in parcels of `size` names. Their directory is there by now.
    pub(super) fn split(&self, from: usize, size: usize) -> Vec<Parcel> {
        let entries: Vec<&[u8]> =
            self.names.split_inclusive(|byte| *byte == 0).skip(from).collect();
        let ground = if self.ground == Ground::Unmade { Ground::Fresh } else { self.ground };
        let part = |names: &[&[u8]]| Parcel { ground, names: names.concat(), ..self.clone() };
        entries.chunks(size).map(part).collect()
    }
}

/// What became of a parcel.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) folders: u64,
    /// Further names given to a file that has several.
    pub(super) links: u64,
    /// Symbolic links, FIFOs, sockets, device nodes.
    pub(super) others: u64,
    pub(super) skipped: u64,
    /// By position.
    pub(super) failures: Vec<(usize, String)>,
    /// Files with several names, by position: device and inode.
    pub(super) linked: Vec<(usize, (u64, u64))>,
    /// The position from which on nothing was done.
    pub(super) rest: Option<usize>,
    /// Whether there is no room for anything more.
    pub(super) full: bool,
}

impl Outcome {
    /// Of a parcel that was not begun.
    pub(super) fn nothing_done() -> Self {
        Self { rest: Some(0), ..Self::default() }
    }

    /// Names dealt with.
    pub(super) fn names(&self) -> u64 {
        self.files
            + self.links
            + self.others
            + self.skipped
            + (self.failures.len() + self.linked.len()) as u64
    }

    /// Adds what became of a part of the parcel, which began at position `at`.
    pub(super) fn add(&mut self, at: usize, part: Outcome) {
        self.files += part.files;
        self.bytes += part.bytes;
        self.folders += part.folders;
        self.links += part.links;
        self.others += part.others;
        self.skipped += part.skipped;
        self.failures.extend(part.failures.into_iter().map(|(n, text)| (at + n, text)));
        self.linked.extend(part.linked.into_iter().map(|(n, inode)| (at + n, inode)));
        self.rest = part.rest.map(|n| at + n);
        self.full |= part.full;
    }
}

/// What a worker has to know besides its parcels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) on_exists: OnExists,
    pub(super) preserve: bool,
    /// The process's file mode creation mask.
    pub(super) umask: u32,
}

impl Settings {
    /// What must be set by hand to let the owner read, write and search a new directory or file of
    /// `mode`.
    pub(super) fn lacks(&self, mode: u32, needed: u32) -> bool {
        mode & !self.umask & needed != needed
    }
}
