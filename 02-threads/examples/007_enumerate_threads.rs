//! 007 · 线程列表 · Who is alive, by name: the list grows and shrinks as threads come and go.
//!
//! Python: `threading.enumerate()` while two threads work.
//! Rust: a thread that is to be found by name is given one by `thread::Builder`; the kernel lists
//! them.
//!
//! Run: `cargo run --example 007_enumerate_threads` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#alive` · `notes/zh-CN/02-threads.md#alive`
//!
//! ```output
//! before:          main
//! both at work:    main, sing, dance
//! the song ended:  main, dance
//! both ended:      main
//! ```

use std::{
    io,
    sync::mpsc::{self, Sender},
    thread::{self, JoinHandle},
};
use util::timeline;

fn main() -> util::Result<()> {
    util::case!();
    let _timeline = timeline::start();
    let show = |when: &str| -> io::Result<usize> {
        let alive = threads::alive()?;
        println!("{when:16} {}", alive.join(", "));
        Ok(alive.len())
    };

    show("before:")?;
    let singer = start("sing")?;
    let dancer = start("dance")?;
    assert_eq!(show("both at work:")?, 3);
    singer.stop();
    assert_eq!(show("the song ended:")?, 2);
    dancer.stop();
    assert_eq!(show("both ended:")?, 1);
    Ok(())
}

struct Performer {
    thread: JoinHandle<()>,
    enough: Sender<()>,
}

impl Performer {
    fn stop(self) {
        self.enough.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

/// Returns when the thread is at work, which it is until it is stopped.
fn start(name: &'static str) -> io::Result<Performer> {
    let (enough, until) = mpsc::channel();
    let (begun, at_work) = mpsc::channel();
    let thread = thread::Builder::new().name(name.into()).spawn(move || {
        let _span = timeline::span(name);
        begun.send(()).unwrap();
        until.recv().unwrap();
    })?;
    at_work.recv().unwrap();
    Ok(Performer { thread, enough })
}
