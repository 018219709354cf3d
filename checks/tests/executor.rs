//! The executor of `4_4_from_scratch`, by the tasks that try to break it: those that wake
//! themselves, wake twice, are woken after their end or from another thread, are dropped, or panic.

#[path = "../../04-coroutines/examples/4_4_from_scratch/executor.rs"]
mod executor;

use executor::Executor;
use std::{
    cell::{Cell, RefCell},
    future::{pending, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::mpsc,
    task::{Poll, Waker},
    thread,
    time::{Duration, Instant},
};

/// Pending so many times, each time waking itself `wakes` times first.
async fn yields(times: u32, wakes: u32, polls: Rc<Cell<u32>>) {
    let mut left = times;
    poll_fn(|context| {
        polls.set(polls.get() + 1);
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        (0..wakes).for_each(|_| context.waker().wake_by_ref());
        Poll::Pending
    })
    .await;
}

#[test]
fn a_task_that_wakes_itself_goes_on_and_the_others_too() {
    let executor = Executor::default();
    let order = Rc::new(RefCell::new(Vec::new()));
    for name in ["a", "b"] {
        let order = Rc::clone(&order);
        executor.spawn(async move {
            for step in 0..3 {
                order.borrow_mut().push(format!("{name}{step}"));
                yields(1, 1, Rc::default()).await;
            }
        });
    }
    executor.run();
    assert_eq!(order.borrow().join(" "), "a0 b0 a1 b1 a2 b2");
}

#[test]
fn woken_twice_is_polled_once() {
    let (executor, polls) = (Executor::default(), Rc::default());
    executor.spawn(yields(10, 3, Rc::clone(&polls)));
    executor.run();
    assert_eq!(polls.get(), 11);
}

#[test]
fn a_wake_after_the_end_is_nothing() {
    let executor = Executor::default();
    let kept: Rc<RefCell<Option<Waker>>> = Rc::default();
    let keep = Rc::clone(&kept);
    executor.spawn(poll_fn(move |context| {
        *keep.borrow_mut() = Some(context.waker().clone());
        Poll::Ready(())
    }));
    executor.run();
    let waker = kept.take().unwrap();
    waker.wake_by_ref();
    waker.wake();
    let ran = Rc::new(Cell::new(false));
    let run = Rc::clone(&ran);
    executor.spawn(async move { run.set(true) });
    executor.run();
    assert!(ran.get());
}

#[test]
fn another_thread_wakes_it_and_none_is_missed() {
    let executor = Executor::default();
    let (send, receive) = mpsc::channel::<Waker>();
    let waking = thread::spawn(move || receive.into_iter().map(Waker::wake).count());
    for _ in 0..10 {
        let send = send.clone();
        executor.spawn(async move {
            for _ in 0..1000 {
                let mut asked = false;
                poll_fn(|context| {
                    if std::mem::replace(&mut asked, true) {
                        return Poll::Ready(());
                    }
                    send.send(context.waker().clone()).unwrap();
                    Poll::Pending
                })
                .await;
            }
        });
    }
    drop(send);
    executor.run();
    assert_eq!(waking.join().unwrap(), 10 * 1000);
}

#[test]
fn timers_ring_in_order_of_time_and_a_dropped_one_does_not() {
    let executor = Executor::default();
    let start = Instant::now();
    let at = move |millis| start + Duration::from_millis(millis);
    let order = Rc::new(RefCell::new(Vec::new()));
    for millis in [30, 10, 20, 10] {
        let (here, order) = (executor.clone(), Rc::clone(&order));
        executor.spawn(async move {
            here.sleep_until(at(millis)).await;
            assert!(Instant::now() >= at(millis));
            order.borrow_mut().push(millis);
        });
    }
    let here = executor.clone();
    executor.spawn(async move {
        // Begun, and given up for a shorter one.
        let mut long = Box::pin(here.sleep_until(start + Duration::from_secs(3600)));
        let begun = poll_fn(|context| Poll::Ready(long.as_mut().poll(context))).await;
        assert!(begun.is_pending());
        drop(long);
        here.sleep_until(at(5)).await;
    });
    executor.run(); // it would sleep for an hour if that one were still there
    assert_eq!(*order.borrow(), [10, 10, 20, 30]);
}

#[test]
fn a_panic_ends_its_task_only() {
    let executor = Executor::default();
    let dropped = Rc::new(Cell::new(false));
    struct Held(Rc<Cell<bool>>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let held = Held(Rc::clone(&dropped));
    executor.spawn(async move {
        let _held = held;
        yields(1, 1, Rc::default()).await;
        panic!("on purpose");
    });
    let polls = Rc::new(Cell::new(0));
    executor.spawn(yields(5, 1, Rc::clone(&polls)));
    let outcome = catch_unwind(AssertUnwindSafe(|| executor.run()));
    assert_eq!(outcome.unwrap_err().downcast_ref::<&str>(), Some(&"on purpose"));
    assert!(dropped.get(), "what it held went with it");
    executor.run();
    assert_eq!(polls.get(), 6);
}

#[test]
fn unfinished_tasks_are_dropped_with_it() {
    let held = Rc::new(());
    let executor = Executor::default();
    let inside = Rc::clone(&held);
    executor.spawn(async move {
        let _inside = inside;
        pending::<()>().await
    });
    assert_eq!(Rc::strong_count(&held), 2);
    drop(executor); // never run
    assert_eq!(Rc::strong_count(&held), 1);
    // A timer that is not polled was never set.
    let executor = Executor::default();
    drop(executor.sleep_until(Instant::now()));
    executor.run();
}
