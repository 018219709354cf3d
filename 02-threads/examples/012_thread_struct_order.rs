//! 012 · 线程执行顺序 · Five at once: the scheduler decides who comes first, anew each time.
//!
//! Python: run the program twice and the lines stand in another order.
//! Rust: the same; here one run holds 50 rounds, and counts the orders it saw. The first few rounds
//! are slow, for the picture: each row's number says which place that thread took.
//!
//! Run: `cargo run --example 012_thread_struct_order` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#order` · `notes/zh-CN/02-threads.md#order`
//!
//! ```output
//! round 1: [..]
//! round 2: [..]
//! round 3: [..]
//! round 4: [..]
//! round 5: [..]
//! [..] different orders in 50 rounds
//! ```

use std::{
    collections::HashSet,
    io,
    sync::{Barrier, Mutex},
    thread,
};
use util::{tick, timeline};

const ROUNDS: u32 = 50;
const SHOWN: u32 = 5;

struct Runner<'a> {
    name: char,
    start: &'a Barrier,
    finish: &'a Mutex<Vec<char>>,
}

impl Runner<'_> {
    fn run(self, slowly: bool) {
        self.start.wait(); // nobody has a head start
        let place = {
            let mut finish = self.finish.lock().unwrap();
            finish.push(self.name);
            finish.len()
        };
        if slowly {
            let _span = timeline::span(format_args!("no. {place}"));
            tick::sleep(1);
        }
    }
}

fn main() -> util::Result<()> {
    util::case!();
    let _timeline = timeline::start();
    let mut orders = HashSet::new();
    for round in 1..=ROUNDS {
        let shown = round <= SHOWN;
        let _span = shown.then(|| timeline::span(format_args!("round {round}")));
        let order = race(shown)?;
        if shown {
            println!("round {round}: {order}");
        }
        let mut everybody: Vec<char> = order.chars().collect();
        everybody.sort_unstable();
        assert_eq!(everybody, ['A', 'B', 'C', 'D', 'E'], "each comes in once");
        orders.insert(order);
    }
    println!("{} different orders in {ROUNDS} rounds", orders.len());
    Ok(())
}

/// Who came in first, second, and so on.
fn race(slowly: bool) -> io::Result<String> {
    let (start, finish) = (Barrier::new(5), Mutex::default());
    thread::scope(|s| {
        for name in 'A'..='E' {
            let runner = Runner { name, start: &start, finish: &finish };
            thread::Builder::new()
                .name(format!("runner {name}"))
                .spawn_scoped(s, move || runner.run(slowly))?;
        }
        io::Result::Ok(())
    })?;
    Ok(finish.into_inner().unwrap().into_iter().collect())
}
