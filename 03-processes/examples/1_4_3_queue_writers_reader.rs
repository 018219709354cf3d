//! 1.4.3 · 两写一读 · Two writers and a reader: it ends when the writers are gone.
//!
//! Python: the reader loops forever and is terminated: in the middle of an item, if it comes to
//! that.
//! Rust: when both writers have been joined, the queue is closed; the reader takes what is left and
//! ends by itself.
//!
//! Run: `cargo run --example 1_4_3_queue_writers_reader` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#queue` · `notes/zh-CN/03-processes.md#queue`
//!
//! ```output
//! writer 1: A B C in this order
//! writer 2: D E F in this order
//! the reader ended by itself
//! ```

use multiproc::queue::{GetError, Queue};
use util::{tick, timeline};

fn write((letters, queue): (Vec<char>, Queue<char>)) {
    for letter in letters {
        let _span = timeline::span(letter);
        queue.put(&letter).unwrap();
        tick::sleep(0.5);
    }
}

fn read(queue: Queue<char>) -> Vec<char> {
    let mut letters = Vec::new();
    loop {
        let waiting = timeline::wait("for a letter");
        match queue.get() {
            Ok(letter) => letters.push(letter),
            Err(GetError::Closed) => return letters,
            Err(error) => panic!("{error}"),
        }
        drop(waiting);
    }
}

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();
    let queue = Queue::bounded(2)?;
    let writers = [
        multiproc::spawn(write, (vec!['A', 'B', 'C'], queue.clone()))?,
        multiproc::spawn(write, (vec!['D', 'E', 'F'], queue.clone()))?,
    ];
    let reader = multiproc::spawn(read, queue.clone())?;

    // ANCHOR: close
    for writer in &writers {
        writer.join()?;
    }
    queue.close(); // whatever is still in it will be read
    let letters = reader.join()?;
    // ANCHOR_END: close
    for (number, mine) in [(1, "ABC"), (2, "DEF")] {
        let order: String = letters.iter().filter(|letter| mine.contains(**letter)).collect();
        let spaced: Vec<String> = order.chars().map(String::from).collect();
        println!("writer {number}: {} in this order", spaced.join(" "));
        assert_eq!(order, mine);
    }
    assert_eq!(letters.len(), 6);
    println!("the reader ended by itself");
    Ok(())
}
