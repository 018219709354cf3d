//! 28.5 · 线程传参 · What a thread is given: moved in, shared, or borrowed within a scope.
//!
//! Python: a tuple of arguments; the thread and its maker then share the objects, for better or
//! worse.
//! Rust: a closure takes what it uses. `spawn` asks that all of it be `Send` (may go to another
//! thread) and `'static` (no borrow that can end too early); `scope` allows borrows. What breaks
//! the rule is refused, and here is what the compiler says to
//! `compile_fail/borrow_outlives_its_thread.rs`.
//!
//! Run: `cargo run --example 28_5_thread_args` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#arguments` · `notes/zh-CN/02-threads.md#arguments`
//!
//! ```output
//! moved: tea, 3 cups
//! shared: 2 threads and main count 1500 in all
//! borrowed: 15, and main still has [1, 2, 3, 4, 5]
//! the compiler refuses a borrow that can end too early:
//! error[E0373]: closure may outlive the current function[..]
//! ...
//! ```

use std::{path::Path, sync::Arc, thread};
use util::{compiler, timeline};

fn main() -> util::Result<()> {
    util::case!();
    let _timeline = timeline::start();

    // ANCHOR: moved
    let (drink, cups) = (String::from("tea"), 3);
    let moved = thread::spawn(move || format!("{drink}, {cups} cups"));
    // `drink` is gone from here; `cups`, a number, was copied.
    println!("moved: {}", moved.join().unwrap());
    assert_eq!(cups, 3);
    // ANCHOR_END: moved

    // ANCHOR: shared
    let numbers = Arc::new(vec![1; 500]); // one vector, three owners
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let numbers = Arc::clone(&numbers);
            thread::spawn(move || numbers.iter().sum::<i32>())
        })
        .collect();
    let theirs: i32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    let all = theirs + numbers.iter().sum::<i32>();
    // ANCHOR_END: shared
    println!("shared: 2 threads and main count {all} in all");
    assert_eq!(all, 1500);

    // ANCHOR: borrowed
    let numbers = vec![1, 2, 3, 4, 5];
    let sum: i32 = thread::scope(|s| s.spawn(|| numbers.iter().sum()).join().unwrap());
    // ANCHOR_END: borrowed
    println!("borrowed: {sum}, and main still has {numbers:?}");
    assert_eq!(sum, 15);

    let wrong = concat!(env!("CARGO_MANIFEST_DIR"), "/compile_fail/borrow_outlives_its_thread.rs");
    let message = compiler::refusal(Path::new(wrong), "E0373")?;
    print!("the compiler refuses a borrow that can end too early:\n{message}");
    Ok(())
}
