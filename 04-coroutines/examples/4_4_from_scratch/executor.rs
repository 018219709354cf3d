//! An executor: it keeps tasks that are not finished, and runs those that say they can go on.
//!
//! A task says so by its *waker*, which puts its number into the queue of what is ready. Nothing
//! else makes it run: so nothing is asked again and again, and when nothing is ready the thread
//! sleeps.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

// ANCHOR: waker
/// The numbers of the tasks that can go on. Wakers may come from any thread.
#[derive(Default)]
struct Ready {
    queue: Mutex<VecDeque<u64>>,
    filled: Condvar,
}

/// What a task is woken by: its number, and whether that is in the queue already.
struct TaskWaker {
    number: u64,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, SeqCst) {
            let mut queue = self.ready.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.push_back(self.number);
            self.ready.filled.notify_one();
        }
    }
}
// ANCHOR_END: waker

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    waker: Arc<TaskWaker>,
}

#[derive(Default)]
struct Inner {
    tasks: RefCell<BTreeMap<u64, Task>>,
    /// By time; the number tells apart those of one time.
    timers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    next: Cell<u64>,
    /// How many tasks have been run.
    runs: Cell<u64>,
    ready: Arc<Ready>,
}

/// An executor on one thread. Its clones are the same one, so that tasks can spawn and sleep.
#[derive(Clone, Default)]
pub struct Executor(Rc<Inner>);

impl Executor {
    fn number(&self) -> u64 {
        self.0.next.replace(self.0.next.get() + 1)
    }

    /// A new task, ready to run for the first time.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let (number, ready) = (self.number(), Arc::clone(&self.0.ready));
        let waker = Arc::new(TaskWaker { number, queued: AtomicBool::new(false), ready });
        self.0
            .tasks
            .borrow_mut()
            .insert(number, Task { future: Box::pin(future), waker: Arc::clone(&waker) });
        waker.wake();
    }

    // ANCHOR: run
    /// Runs until all tasks have ended. A task that panics has ended: its panic comes out here, and
    /// `run` can be called again for the others.
    pub fn run(&self) {
        while !self.0.tasks.borrow().is_empty() {
            let number = self.next_ready();
            // Out of the map while it runs, so that it can spawn others. Not there: woken again
            // after its end.
            let Some(mut task) = self.0.tasks.borrow_mut().remove(&number) else { continue };
            // From here on a wake counts for the next time, also one that comes while it runs.
            task.waker.queued.store(false, SeqCst);
            let waker = Waker::from(Arc::clone(&task.waker));
            if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                self.0.tasks.borrow_mut().insert(number, task);
            }
        }
    }

    /// The next task that can go on; asleep until there is one, or until a timer is due.
    fn next_ready(&self) -> u64 {
        // Tasks that are ready come first; but tasks that keep waking themselves must not hold up
        // the timers forever.
        let runs = self.0.runs.replace(self.0.runs.get() + 1);
        if runs % 64 == 63 && self.first_timer() == Some(Duration::ZERO) {
            self.wake_first_timer();
        }
        loop {
            let ready = &self.0.ready;
            let mut queue = ready.queue.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(number) = queue.pop_front() {
                return number;
            }
            // The lock is given back while asleep, and taken again: no wake is missed in between.
            match self.first_timer() {
                Some(Duration::ZERO) => {
                    drop(queue); // the wake takes it
                    self.wake_first_timer();
                }
                Some(left) => drop(ready.filled.wait_timeout(queue, left)),
                None => drop(ready.filled.wait(queue)),
            }
        }
    }
    // ANCHOR_END: run

    // ANCHOR: timers
    /// How long until the first timer is due, if there is one.
    fn first_timer(&self) -> Option<Duration> {
        let timers = self.0.timers.borrow();
        let ((at, _), _) = timers.first_key_value()?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// One at a time: so tasks run in the order of their timers even if several are overdue.
    fn wake_first_timer(&self) {
        if let Some((_, waker)) = self.0.timers.borrow_mut().pop_first() {
            waker.wake();
        }
    }

    /// Waits until `at`.
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep { executor: self.clone(), key: (at, self.number()), is_set: false }
    }
}

/// Done when its timer has gone off. Dropped before, it leaves nothing behind.
pub struct Sleep {
    executor: Executor,
    key: (Instant, u64),
    is_set: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<()> {
        let was_set = std::mem::replace(&mut self.is_set, true);
        let mut timers = self.executor.0.timers.borrow_mut();
        if was_set && !timers.contains_key(&self.key) {
            return Poll::Ready(());
        }
        timers.insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.executor.0.timers.borrow_mut().remove(&self.key);
    }
}
// ANCHOR_END: timers
