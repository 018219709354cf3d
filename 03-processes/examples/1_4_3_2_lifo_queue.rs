//! 1.4.3.2 · 后进先出队列 · LIFO: last in, first out: a `Vec` is a stack.
//!
//! Python: `queue.LifoQueue`.
//! Rust: `push` and `pop` of a `Vec`; shared by threads, behind a `Mutex`.
//!
//! Run: `cargo run --example 1_4_3_2_lifo_queue`
//! Notes: `notes/en/03-processes.md#fifo-lifo` · `notes/zh-CN/03-processes.md#fifo-lifo`
//!
//! ```output
//! Vec: 4 3 2 1 0
//! shared by 4 threads: 400 pushed, 400 popped, each once
//! ```

use std::{sync::Mutex, thread};

fn main() {
    util::case!();
    // ANCHOR: stack
    let mut stack: Vec<u32> = (0..5).collect();
    let popped: Vec<u32> = std::iter::from_fn(|| stack.pop()).collect();
    // ANCHOR_END: stack
    let words: Vec<String> = popped.iter().map(u32::to_string).collect();
    println!("Vec: {}", words.join(" "));
    assert_eq!(popped, [4, 3, 2, 1, 0]);

    let stack = Mutex::new(Vec::new());
    thread::scope(|s| {
        for thread in 0..4 {
            let stack = &stack;
            s.spawn(move || (0..100).for_each(|n| stack.lock().unwrap().push(thread * 100 + n)));
        }
    });
    let pushed = stack.lock().unwrap().len();
    let mut popped: Vec<i32> = thread::scope(|s| {
        let pop_all = || std::iter::from_fn(|| stack.lock().unwrap().pop()).collect::<Vec<_>>();
        let threads = [(); 4].map(|()| s.spawn(pop_all));
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    popped.sort_unstable();
    println!("shared by 4 threads: {pushed} pushed, {} popped, each once", popped.len());
    assert_eq!(popped, (0..400).collect::<Vec<_>>());
}
