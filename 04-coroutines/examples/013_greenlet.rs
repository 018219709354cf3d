//! 013 · 手动切换 greenlet · greenlet: two stacks, switched by hand, also from inside a nested call.
//!
//! Python: the package greenlet: `gr2.switch()` leaves this function where it is and goes on in the
//! other one.
//! Rust: the same on `corosensei`'s stacks. One coroutine walks a tree by a plain recursive
//! function, which switches away in the middle of its recursion; the whole stack stays as it is. An
//! `async` function would have to be awaited, and boxed, at every level.
//!
//! Run: `cargo run --example 013_greenlet` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/04-coroutines.md#greenlet` · `notes/zh-CN/04-coroutines.md#greenlet`
//!
//! ```output
//! one: 12
//! two: 56
//! one: 34
//! two: 78
//! the tree from left to right: 1 2 3 4 5 6 7
//! deepest switch: 3 calls deep; the walker has ended, and to switch to it now: the coroutine has ended
//! ```

use coroutines::switch::{Hub, SwitchError};
use std::{cell::Cell, rc::Rc};
use util::{tick, timeline};

fn main() -> util::Result<()> {
    util::case!();
    let _timeline = timeline::start();

    // ANCHOR: switch
    let hub = Hub::new();
    let (one, two) = (hub.reserve(), hub.reserve());
    hub.define(one, move |here, ()| {
        say("one", 12);
        here.switch(two, ()).unwrap();
        say("one", 34);
        here.switch(two, ()).unwrap();
    })?;
    hub.define(two, move |here, ()| {
        say("two", 56);
        here.switch(one, ()).unwrap();
        say("two", 78);
    })?;
    hub.switch(one, ())?; // back when one of them returns
    // ANCHOR_END: switch
    assert!(hub.has_ended(two) && !hub.has_ended(one), "one stands at its second switch");

    // ANCHOR: nested
    let hub = Hub::new();
    let deepest = Rc::new(Cell::new(0));
    let seen = Rc::clone(&deepest);
    let walker = hub.spawn(move |here, _| {
        walk(4, 2, 1, &|number, depth| {
            seen.set(depth.max(seen.get()));
            here.switch_to_main(number).unwrap();
        });
        0
    });
    // ANCHOR_END: nested
    print!("the tree from left to right:");
    let mut numbers = Vec::new();
    loop {
        match hub.switch(walker, 0)? {
            0 => break,
            number => numbers.push(number),
        }
        print!(" {}", numbers.last().unwrap());
    }
    println!();
    let again = hub.switch(walker, 0).unwrap_err();
    println!(
        "deepest switch: {} calls deep; the walker has ended, and to switch to it now: {again}",
        deepest.get()
    );
    assert_eq!((numbers, deepest.get(), again), ((1..8).collect(), 3, SwitchError::Ended));
    Ok(())
}

// ANCHOR: walk
/// A tree of numbers, from left to right: `middle`, with trees of half the size on both sides. It
/// knows nothing of coroutines.
fn walk(middle: u32, half: u32, depth: u32, visit: &dyn Fn(u32, u32)) {
    if half > 0 {
        walk(middle - half, half / 2, depth + 1, visit);
    }
    visit(middle, depth);
    if half > 0 {
        walk(middle + half, half / 2, depth + 1, visit);
    }
}
// ANCHOR_END: walk

fn say(name: &str, number: u32) {
    let _span = timeline::row(name).span(number);
    println!("{name}: {number}");
    tick::sleep(1);
}
