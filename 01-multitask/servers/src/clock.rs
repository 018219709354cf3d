//! The time, as a number and as HTTP writes it.

use crate::conditions;
use std::{
    io::Write,
    time::{SystemTime, UNIX_EPOCH},
};

/// The date as text, written anew when the second has changed.
#[derive(Debug)]
pub(crate) struct Clock {
    second: u64,
    text: [u8; 29],
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { second: u64::MAX, text: [b' '; 29] }
    }
}

impl Clock {
    /// Now, as HTTP writes it.
    pub(crate) fn date(&mut self) -> &[u8] {
        self.look();
        &self.text
    }

    /// Seconds since 1970.
    pub(crate) fn look(&mut self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if now != self.second {
            self.second = now;
            let date = httpdate::HttpDate::from(conditions::time(now));
            let _ = write!(&mut self.text[..], "{date}");
        }
        now
    }
}
