//! What many that wait hold, in a process that does nothing else.

use crate::common::{LIMIT, on_one_thread};
use multiproc::Queue;
use std::{
    process,
    sync::{
        RwLock,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};
use tokio::{sync::Semaphore, task::yield_now};
use util::held::Held;

/// Makes so many wait at once, or as many as may be; says how many those are, and the bytes that
/// they hold together: of their own, page tables, kernel stacks, sockets, all.
pub type Hold = fn(u32) -> (u32, [u64; 5]);

/// What this process and these `children` hold.
fn held(children: &[u32]) -> Held {
    Held::by(&[&[process::id()], children].concat()).unwrap()
}

fn bytes(held: Held) -> [u64; 5] {
    let kernel = held.kernel.expect("Linux reports it");
    [held.user, kernel.page_tables, kernel.stacks, kernel.sockets, held.all()]
}

// ANCHOR: hold
pub fn tasks(count: u32) -> (u32, [u64; 5]) {
    on_one_thread(async {
        let gate: &'static Semaphore = Box::leak(Box::new(Semaphore::const_new(0)));
        held(&[]); // warm
        let before = held(&[]);
        let wait = || tokio::spawn(async { gate.acquire().await.is_err() });
        let tasks: Vec<_> = (0..count).map(|_| wait()).collect();
        yield_now().await; // each has begun to wait
        let more = held(&[]) - before;
        gate.close();
        for task in tasks {
            assert!(task.await.unwrap());
        }
        (count, bytes(more))
    })
}

pub fn threads(count: u32) -> (u32, [u64; 5]) {
    let (gate, waiting) = (RwLock::new(()), AtomicU32::new(0));
    held(&[]); // warm
    let before = held(&[]);
    thread::scope(|s| {
        let closed = gate.write().unwrap();
        let wait = || {
            waiting.fetch_add(1, SeqCst);
            drop(gate.read().unwrap());
        };
        let start = |_| thread::Builder::new().spawn_scoped(s, wait).ok();
        let had = (0..count).map_while(start).count() as u32;
        while waiting.load(SeqCst) < had {
            thread::yield_now();
        }
        let more = held(&[]) - before;
        drop(closed);
        (had, bytes(more))
    })
}

pub fn processes(count: u32) -> (u32, [u64; 5]) {
    let (waiting, gate) = (Queue::unbounded().unwrap(), Queue::<()>::unbounded().unwrap());
    let wait = |(waiting, gate): (Queue<()>, Queue<()>)| {
        waiting.put(&()).unwrap();
        gate.get_timeout(LIMIT).is_err()
    };
    let start = |_| {
        let child = multiproc::spawn(wait, (waiting.clone(), gate.clone())).ok()?;
        while waiting.get_timeout(Duration::from_millis(100)).is_err() {
            if !child.is_alive() {
                return None; // it began, and a limit ended it
            }
        }
        Some(child)
    };
    let before = held(&[]);
    let children: Vec<_> = (0..count).map_while(start).collect();
    let ids: Vec<u32> = children.iter().map(|child| child.id()).collect();
    let more = held(&ids) - before;
    gate.close();
    assert!(children.iter().all(|child| child.join_timeout(LIMIT).unwrap()));
    (children.len() as u32, bytes(more))
}
// ANCHOR_END: hold
