//! A small interpreter whose threads share one lock, as Python's do; or none.

use std::{
    sync::{
        Condvar, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a thread may compute before it lets another one; Python's `sys.getswitchinterval()`.
const SWITCH_INTERVAL: Duration = Duration::from_millis(5);
/// Looking at the clock costs time too: so many instructions between two looks.
const LOOK: u32 = 1000;

/// One instruction. The accumulator and the counter are all the state there is.
#[derive(Clone, Copy)]
pub enum Op {
    Multiply(u32),
    Add(u32),
    /// A blocking system call.
    Wait(Duration),
    /// Counts down, and jumps as long as there is something left.
    Loop(usize),
}

/// A fair lock: whoever asked first has it first.
#[derive(Default)]
struct Gil {
    turns: Mutex<(u64, u64)>, // given out, and now served
    next: Condvar,
}

impl Gil {
    fn acquire(&self) {
        let mut turns = self.turns.lock().unwrap();
        let mine = turns.0;
        turns.0 += 1;
        drop(self.next.wait_while(turns, |turns| turns.1 != mine).unwrap());
    }

    fn release(&self) {
        self.turns.lock().unwrap().1 += 1;
        self.next.notify_all();
    }
}

#[derive(Default)]
pub struct Interpreter {
    gil: Option<Gil>,
    running: AtomicUsize,
    /// Threads that were between two waits at once, at the most.
    pub most: AtomicUsize,
}

impl Interpreter {
    pub fn with_gil() -> Interpreter {
        Interpreter { gil: Some(Gil::default()), ..Interpreter::default() }
    }

    fn enter(&self) -> Instant {
        if let Some(gil) = &self.gil {
            gil.acquire();
        }
        self.most.fetch_max(self.running.fetch_add(1, SeqCst) + 1, SeqCst);
        Instant::now()
    }

    fn leave(&self) {
        self.running.fetch_sub(1, SeqCst);
        if let Some(gil) = &self.gil {
            gil.release();
        }
    }

    // ANCHOR: run
    /// Runs `program` with the counter at `loops`, and returns the accumulator.
    pub fn run(&self, program: &[Op], mut loops: u32) -> u32 {
        let (mut accumulator, mut at, mut steps) = (1_u32, 0, 0_u32);
        let mut since = self.enter();
        while let Some(op) = program.get(at) {
            at += 1;
            match *op {
                Op::Multiply(n) => accumulator = accumulator.wrapping_mul(n),
                Op::Add(n) => accumulator = accumulator.wrapping_add(n),
                Op::Wait(time) => {
                    self.leave(); // others may compute while this one waits,
                    thread::sleep(time);
                    since = self.enter(); // and this one again only when it has the lock
                }
                Op::Loop(to) => {
                    loops -= 1;
                    if loops > 0 {
                        at = to;
                    }
                }
            }
            steps += 1;
            if steps.is_multiple_of(LOOK) && since.elapsed() > SWITCH_INTERVAL {
                self.leave();
                since = self.enter();
            }
        }
        self.leave();
        accumulator
    }
    // ANCHOR_END: run
}
