//! 1.4.4 · 管道 · A pipe with two typed ends: the reader ends when the other end is gone.
//!
//! Python: `Pipe()` sends any object. After a fork each process holds both ends, so the reader gets
//! no end of file unless each side closes the end it does not use; the notes' reader loops forever.
//! Rust: each direction has a type. An end that is sent to a child is no longer open in the parent,
//! so the end of file comes.
//!
//! Run: `cargo run --example 1_4_4_pipe` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#pipe` · `notes/zh-CN/03-processes.md#pipe`
//!
//! ```output
//! child: 1 squared is 1
//! child: 2 squared is 4
//! child: 3 squared is 9
//! child: end of file after 3 numbers
//! main: the sum of the answers is 14
//! main: nobody is at the other end: an error, not a signal that kills
//! ```

use multiproc::pipe::{self, Duplex, RecvError, SendError};
use util::timeline;

// ANCHOR: child
/// Answers each number with its square, until nobody asks any more.
fn square(main: Duplex<u64, u32>) {
    let mut count = 0;
    loop {
        let number = match main.recv() {
            Ok(number) => u64::from(number),
            Err(RecvError::Closed) => break, // main has dropped its end
            Err(error) => panic!("{error}"),
        };
        let _span = timeline::span(number);
        println!("child: {number} squared is {}", number * number);
        main.send(&(number * number)).unwrap();
        count += 1;
    }
    println!("child: end of file after {count} numbers");
}
// ANCHOR_END: child

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();
    // ANCHOR: main
    let (ours, theirs) = pipe::duplex::<u32, u64>()?;
    let child = multiproc::spawn(square, theirs)?;
    // ANCHOR_END: main
    let mut sum = 0;
    for number in 1..=3 {
        ours.send(&number)?;
        sum += ours.recv()?;
    }
    drop(ours);
    child.join()?;
    println!("main: the sum of the answers is {sum}");
    assert_eq!(sum, 1 + 4 + 9);

    let (ours, theirs) = pipe::duplex::<u32, u64>()?;
    drop(theirs);
    assert!(matches!(ours.send(&4), Err(SendError::Closed)));
    println!("main: nobody is at the other end: an error, not a signal that kills");
    Ok(())
}
