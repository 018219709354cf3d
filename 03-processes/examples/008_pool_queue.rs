//! 008 · 进程池中的队列 · A queue for the tasks of a pool: it is handed over like any other argument.
//!
//! Python: "Queue objects should only be shared between processes through inheritance" (for a pool,
//! its `initializer`); as an argument of a task only a `Manager().Queue()`, a queue in a third
//! process, is possible.
//! Rust: a queue is a place in memory that all processes of the tree share, and its handle a few
//! numbers. They can travel as an argument, or inside a message of another queue.
//!
//! Run: `cargo run --example 008_pool_queue` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#pool` · `notes/zh-CN/03-processes.md#pool`
//!
//! ```output
//! written by one task: ["h", "e", "l", "l", "o"]
//! read by another: hello
//! a queue that came through a queue: hello again
//! ```

use multiproc::{Pool, queue::Queue};
use util::timeline;

fn write((queue, text): (Queue<String>, String)) -> Vec<String> {
    let _span = timeline::span("write");
    let letters: Vec<String> = text.chars().map(String::from).collect();
    letters.iter().for_each(|letter| queue.put(letter).unwrap());
    letters
}

fn read((queue, count): (Queue<String>, usize)) -> String {
    let _span = timeline::span("read");
    (0..count).map(|_| queue.get().unwrap()).collect()
}

fn answer_to(letterbox: Queue<Queue<String>>) {
    let _span = timeline::span("answer");
    let reply_to = letterbox.get().unwrap();
    reply_to.put(&"hello again".to_owned()).unwrap();
}

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();
    let pool = Pool::builder().workers(2).build()?;
    // ANCHOR: hand_over
    let queue = Queue::unbounded()?;
    let written = pool.apply(write, (queue.clone(), "hello".to_owned()))?;
    let read = pool.apply(read, (queue, written.len()))?;
    // ANCHOR_END: hand_over
    println!("written by one task: {written:?}");
    println!("read by another: {read}");
    assert_eq!(read, "hello");

    let (letterbox, mine) = (Queue::unbounded()?, Queue::unbounded()?);
    letterbox.put(&mine)?;
    pool.apply(answer_to, letterbox)?;
    let answer = mine.get()?;
    println!("a queue that came through a queue: {answer}");
    assert_eq!(answer, "hello again");
    Ok(())
}
