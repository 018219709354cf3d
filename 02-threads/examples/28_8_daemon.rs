//! 28.8 · 守护线程被切断 · Cut off: the last line never comes, and nothing is tidied up.
//!
//! Python: `daemon=True`: the thread stops where it stands when main ends; no `finally` runs.
//! Rust: so does every plain `spawn`. Values are not dropped, files not flushed, temporary files
//! not removed. The child below leaves half a letter; told to stop and joined, it finishes it.
//!
//! Run: `cargo run --example 28_8_daemon` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#main-ends` · `notes/zh-CN/02-threads.md#main-ends`
//!
//! ```output
//! cut off: Dear Ann,
//! told and joined: Dear Ann, yours, Bob
//! ```

use std::{
    env,
    sync::mpsc::{self, Receiver},
    thread,
};
use util::{output, timeline};

fn main() -> util::Result<()> {
    util::case!(args);
    let way: Option<String> = args.value("--child"); // what this program is started as below
    args.finish();
    let _timeline = timeline::start();
    if let Some(way) = way {
        write_letter(way == "join");
        return Ok(());
    }
    for (what, way, expected) in
        [("cut off:", "return", "Dear Ann,"), ("told and joined:", "join", "Dear Ann, yours, Bob")]
    {
        let letter = util::printed_by(["--child", way])?;
        println!("{what} {letter}");
        assert_eq!(letter, expected);
    }
    Ok(())
}

/// Ends itself properly when it is dropped; if it is dropped.
struct Letter;

impl Letter {
    fn begin() -> Letter {
        say("Dear Ann,");
        Letter
    }
}

impl Drop for Letter {
    fn drop(&mut self) {
        say(" yours, Bob");
    }
}

fn say(words: &str) {
    print!("{words}");
    output::flush(); // `print!` writes only whole lines by itself
}

fn write_letter(join: bool) {
    let (begun, has_begun) = mpsc::channel();
    let (stop, told_to_stop): (_, Receiver<()>) = mpsc::channel();
    let thread = thread::spawn(move || {
        let _span = timeline::span("letter");
        let _letter = Letter::begin();
        begun.send(()).unwrap();
        let _ = told_to_stop.recv(); // thinks of what to write, until it is told to stop
    });
    has_begun.recv().unwrap();
    if join {
        drop(stop); // the other end of the channel hears it
        thread.join().unwrap();
    } else {
        std::mem::forget(stop); // main returns without a word
    }
}
