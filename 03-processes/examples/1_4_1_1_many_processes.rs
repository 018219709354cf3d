//! 1.4.1.1 · 许多进程 · Twenty processes: the order of starting is not the order of running, and each start costs.
//!
//! Python: a loop that starts twenty; the lines come in any order.
//! Rust: the same. Twenty starts are also twenty programs loaded and twenty ended: the second
//! figure is what the same work costs in a pool of two that is there already, which is why the pool
//! comes next.
//!
//! Run: `cargo run --example 1_4_1_1_many_processes` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#many` · `notes/zh-CN/03-processes.md#many`
//!
//! ```output
//! ran in the order [..]
//! a process each: [..]
//! a pool of two:  [..]
//! the same results: true
//! ```

use multiproc::{Pool, queue::Queue};
use std::time::Instant;
use util::{timeline, work};

fn count((number, ran): (u32, Queue<u32>)) -> usize {
    let _span = timeline::span(number);
    ran.put(&number).unwrap();
    work::count_primes(number * 100..(number + 1) * 100)
}

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();
    let ran = Queue::unbounded()?;
    let tasks = || (0..20).map(|number| (number, ran.clone()));

    let started = Instant::now();
    let children: Vec<_> =
        tasks().map(|task| multiproc::spawn(count, task)).collect::<Result<_, _>>()?;
    let each: Vec<usize> = children.iter().map(|child| child.join()).collect::<Result<_, _>>()?;
    let took = started.elapsed();
    let order: Vec<u32> = (0..20).map(|_| ran.get()).collect::<Result<_, _>>()?;
    println!("ran in the order {order:?}");
    println!("a process each: {took:.1?}");

    let pool = Pool::builder().workers(2).build()?;
    pool.apply(|()| (), ())?; // it is there now
    let started = Instant::now();
    let pooled = pool.map(count, tasks())?;
    println!("a pool of two:  {:.1?}", started.elapsed());
    println!("the same results: {}", each == pooled);
    assert_eq!(each, pooled);
    assert_eq!(each.iter().sum::<usize>(), work::count_primes(0..2000));
    Ok(())
}
