//! 2.13 · 多路选择 · Select: wait for several channels at once, and take the first that is ready.
//!
//! Python: no way to wait for two queues; programs poll, or put everything into one queue.
//! Rust: `select!` of `crossbeam`. A deadline is a channel too: `after` becomes ready by itself,
//! `never` never does. A channel whose senders are gone counts as ready, so a loop has to stop
//! selecting it, or it spins.
//!
//! Run: `cargo run --example 2_13_select` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#select` · `notes/zh-CN/02-threads.md#select`
//!
//! ```output
//! two servers, and the first answer: "from the near one"
//! with a deadline of 2 ticks: None
//! without one: Some("from the far one")
//! the far one is gone: its channel is ready at once, with None
//! ```

use crossbeam::{
    channel::{Receiver, after, bounded, never},
    select,
};
use std::{thread, time::Instant};
use util::{tick, timeline};

// ANCHOR: select
/// The first answer of two servers; `None` when `deadline` comes before it, or a server is gone.
fn first(
    near: &Receiver<&'static str>,
    far: &Receiver<&'static str>,
    deadline: &Receiver<Instant>,
) -> Option<&'static str> {
    let _waiting = timeline::wait("the first");
    select! {
        recv(near) -> answer => answer.ok(),
        recv(far) -> answer => answer.ok(),
        recv(deadline) -> _ => None,
    }
}
// ANCHOR_END: select

fn main() {
    util::case!();
    let _timeline = timeline::start();
    let ((near, from_near), (far, from_far)) = (bounded(1), bounded(1));
    let (go, may_go) = bounded(0);
    thread::scope(|s| {
        s.spawn(move || {
            may_go.recv().unwrap();
            far.send("from the far one").unwrap();
        }); // its sender ends here
        s.spawn(|| near.send("from the near one").unwrap());

        let answer = first(&from_near, &from_far, &never());
        println!("two servers, and the first answer: {:?}", answer.unwrap());
        assert_eq!(answer, Some("from the near one"));

        let answer = first(&from_near, &from_far, &after(tick::ticks(2)));
        println!("with a deadline of 2 ticks: {answer:?}");
        assert_eq!(answer, None);

        go.send(()).unwrap();
        let answer = first(&from_near, &from_far, &never());
        println!("without one: {answer:?}");
        assert_eq!(answer, Some("from the far one"));

        let answer = first(&from_near, &from_far, &never());
        println!("the far one is gone: its channel is ready at once, with {answer:?}");
        assert_eq!(answer, None);
    });
}
