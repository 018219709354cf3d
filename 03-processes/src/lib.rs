//! What the cases of chapter 3 have in common: the [timeline] draws their processes.
//!
//! The library the cases stand on is [`multiproc`]; nearly all else here is examples.

use std::ffi::OsString;
use std::sync::Mutex;

use multiproc::observer::{self, Event, Observer};
use util::timeline::{self, Timeline};

/// Draws the children of this program in its timeline. Before [`multiproc::init`], which does not
/// return in a child; [`case!`] calls it.
///
/// # Panics
///
/// When the library has an observer already.
pub fn draw_children() {
    observer::set(&DRAWING);
}

/// [`util::case!`] for a case that starts processes: its children are drawn in its timeline.
#[macro_export]
macro_rules! case {
    ($($argument:tt)?) => {
        util::case!($($argument)?);
        $crate::draw_children();
    };
}

static DRAWING: Drawing = Drawing(Mutex::new(None));

/// This process's place in the timeline, if it is a child.
struct Drawing(Mutex<Option<Timeline>>);

impl Observer for Drawing {
    fn event(&self, event: Event<'_>) {
        let own = || self.0.lock().expect("nothing panics while it is locked");
        match event {
            Event::Started { name, .. } => *own() = Some(timeline::join(name)),
            Event::Finished => drop(own().take()),
            Event::Reaped { id } => timeline::ended(id),
            _ => {}
        }
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        let variable = timeline::env().map(|(name, path)| (name.into(), path.into()));
        variable.into_iter().collect()
    }
}
