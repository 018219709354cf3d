//! A generator made from an `async` block, in safe code.
//!
//! The compiler turns an `async` block into a state machine that stops at each `await`. An executor
//! uses that to wait; a generator uses the same machine to hand a value out.
//! `co.yield_(value).await` puts the value into a place that it shares with its generator, and
//! stops. [`Generator::resume`] fetches the value, and later puts there what the `await` is to
//! return.
//!
//! It has no stack of its own, so it can stop only where its own `async` block says `await`, not in
//! a function that this one calls. Making one allocates once (the shared place); a yield allocates
//! nothing.
//!
//! # What it costs to have it where
//!
//! A state machine may refer to itself, so it must not move once it runs: it is pinned. In a
//! variable, by [`pin!`](std::pin::pin), the compiler sees through all of it, and a loop over it is
//! as fast as the loop written out. In a `Box` it can be returned and kept; then its state is in
//! memory, which each step reads and writes back, instead of in registers. Over the sum of
//! Fibonacci numbers, where a step is an addition or two, that is five times the loop (`cargo bench
//! -- iterate`). So pin where it is used up, box where it has to be kept.
//!
//! This is the shape of `std::ops::Coroutine`, which is not stable; see also `gen` blocks.

use pin_project_lite::pin_project;
use std::{
    cell::Cell,
    fmt,
    future::Future,
    iter::FusedIterator,
    mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// How far a generator came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<Y, R> {
    /// To a `yield_`, with this value. It goes on when it is resumed.
    Yielded(Y),
    /// To its end, with this value. The two are different types, where Python hides the last one in
    /// an exception.
    Returned(R),
}

/// The generator that was resumed had ended already: it had returned, or panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the generator has ended: there is nothing to resume")
    }
}

impl std::error::Error for Ended {}

/// The place that a generator and its `async` block share.
struct Slot<I, Y> {
    yielded: Cell<Option<Y>>,
    input: Cell<Option<I>>,
}

/// What an `async` block yields with; its generator gives it to it.
pub struct Co<I, Y> {
    slot: Rc<Slot<I, Y>>,
}

impl<I, Y> Co<I, Y> {
    /// Hands `value` out and stops; awaited, it gives the input that the generator is resumed with.
    ///
    /// # Panics
    ///
    /// When awaited, if another yield of the same generator waits at the same time: it can stop at
    /// one place only.
    pub fn yield_(&self, value: Y) -> Yield<'_, I, Y> {
        Yield { slot: &self.slot, value: Some(value) }
    }
}

/// See [`Co::yield_`].
#[must_use = "nothing is yielded before it is awaited: `co.yield_(…).await`"]
pub struct Yield<'a, I, Y> {
    slot: &'a Slot<I, Y>,
    value: Option<Y>,
}

// The value is only ever moved out, never pinned.
impl<I, Y> Unpin for Yield<'_, I, Y> {}

impl<I, Y> Future for Yield<'_, I, Y> {
    type Output = I;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, _: &mut Context) -> Poll<I> {
        if let Some(value) = self.value.take() {
            let other = self.slot.yielded.replace(Some(value));
            assert!(other.is_none(), "a generator stops at one `yield_` at a time, not at two");
            return Poll::Pending;
        }
        match self.slot.input.take() {
            Some(input) => Poll::Ready(input),
            None => Poll::Pending, // asked again before the generator was resumed
        }
    }
}

pin_project! {
    /// A function that stops at each yield and goes on when it is resumed.
    ///
    /// It is resumed with an `I`, yields a `Y`, and returns what its future `F` returns; `B` makes
    /// that future. All are inferred:
    ///
    /// ```
    /// use coroutines::{Generator, Step};
    /// use std::pin::pin;
    ///
    /// let mut counter = pin!(Generator::new(|co| async move {
    ///     co.yield_(1).await;
    ///     co.yield_(2).await;
    ///     "done"
    /// }));
    /// assert_eq!(counter.as_mut().resume(()), Ok(Step::Yielded(1)));
    /// assert_eq!(counter.as_mut().resume(()), Ok(Step::Yielded(2)));
    /// assert_eq!(counter.as_mut().resume(()), Ok(Step::Returned("done")));
    /// assert!(counter.as_mut().resume(()).is_err());
    /// ```
    ///
    /// One that is resumed with nothing is an iterator, once it is pinned:
    ///
    /// ```
    /// use coroutines::Generator;
    /// use std::pin::pin;
    ///
    /// let squares = Generator::new(|co| async move {
    ///     for n in 1.. {
    ///         co.yield_(n * n).await;
    ///     }
    /// });
    /// assert_eq!(pin!(squares).take(3).collect::<Vec<i32>>(), [1, 4, 9]);
    /// ```
    ///
    /// To return one from a function, box it: `-> impl Iterator<Item = i32>` and
    /// `Box::pin(squares)`.
    ///
    /// Dropped half-way, it drops what its block holds, as any value does.
    #[must_use = "a generator does nothing before it is resumed"]
    pub struct Generator<I, Y, F, B> {
        slot: Rc<Slot<I, Y>>,
        // Until the first resume.
        body: Option<B>,
        // From the first resume until it returns.
        #[pin]
        future: Option<F>,
        // While it runs; so it is still set if a panic ended it.
        running: bool,
    }
}

impl<Y, F: Future> Generator<(), Y, F, ()> {
    /// A generator that is resumed with nothing. `body` is called by the first resume.
    pub fn new(
        body: impl FnOnce(Co<(), Y>) -> F,
    ) -> Generator<(), Y, F, impl FnOnce(Co<(), Y>, ()) -> F> {
        Generator::with_input(move |co, ()| body(co))
    }
}

impl<I, Y, F: Future, B: FnOnce(Co<I, Y>, I) -> F> Generator<I, Y, F, B> {
    /// A generator that is resumed with values. The first one is an argument of `body`, which the
    /// first resume calls; each later one is what a `yield_` gives.
    ///
    /// Python throws the first value away, and so refuses to be sent one other than `None`.
    ///
    /// ```
    /// use coroutines::{Generator, Step};
    /// use std::pin::pin;
    ///
    /// let mut sum = pin!(Generator::with_input(|co, first: u32| async move {
    ///     let mut sum = first;
    ///     while sum < 10 {
    ///         sum += co.yield_(sum).await;
    ///     }
    ///     sum
    /// }));
    /// assert_eq!(sum.as_mut().resume(3)?, Step::Yielded(3));
    /// assert_eq!(sum.as_mut().resume(4)?, Step::Yielded(7));
    /// assert_eq!(sum.as_mut().resume(5)?, Step::Returned(12));
    /// # Ok::<(), coroutines::generator::Ended>(())
    /// ```
    pub fn with_input(body: B) -> Self {
        let slot = Rc::new(Slot { yielded: Cell::new(None), input: Cell::new(None) });
        Generator { slot, body: Some(body), future: None, running: false }
    }

    /// Runs to the next yield, or to the end.
    ///
    /// # Errors
    ///
    /// If it had ended before. The input is dropped then.
    ///
    /// # Panics
    ///
    /// What its block panics with; it has ended then. And if its block awaits anything but its own
    /// `yield_`: nobody here could tell when to go on.
    #[inline]
    pub fn resume(self: Pin<&mut Self>, input: I) -> Result<Step<Y, F::Output>, Ended> {
        let mut this = self.project();
        if mem::replace(this.running, true) {
            this.future.set(None); // the last resume did not come back
        }
        if let Some(body) = this.body.take() {
            let co = Co { slot: Rc::clone(this.slot) };
            this.future.set(Some(body(co, input)));
        } else {
            this.slot.input.set(Some(input));
        }
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            this.slot.input.set(None);
            return Err(Ended);
        };
        let step = match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => Step::Yielded(this.slot.yielded.take().unwrap_or_else(|| foreign())),
            Poll::Ready(value) => {
                this.future.set(None); // what it held is dropped now, not when the generator is
                Step::Returned(value)
            }
        };
        *this.running = false;
        Ok(step)
    }
}

#[cold]
fn foreign() -> ! {
    panic!("a generator awaited something other than its own `yield_`: nobody here would wake it");
}

impl<Y, F: Future, B: FnOnce(Co<(), Y>, ()) -> F> Iterator for Pin<&mut Generator<(), Y, F, B>> {
    type Item = Y;

    /// The next yielded value. What the generator returns is dropped, as by Python's `for`.
    #[inline]
    fn next(&mut self) -> Option<Y> {
        match self.as_mut().resume(()) {
            Ok(Step::Yielded(value)) => Some(value),
            Ok(Step::Returned(_)) | Err(Ended) => None,
        }
    }
}

impl<Y, F: Future, B: FnOnce(Co<(), Y>, ()) -> F> Iterator for Pin<Box<Generator<(), Y, F, B>>> {
    type Item = Y;

    /// The same of one that is boxed.
    #[inline]
    fn next(&mut self) -> Option<Y> {
        self.as_mut().next()
    }
}

impl<Y, F: Future, B: FnOnce(Co<(), Y>, ()) -> F> FusedIterator
    for Pin<&mut Generator<(), Y, F, B>>
{
}

impl<Y, F: Future, B: FnOnce(Co<(), Y>, ()) -> F> FusedIterator
    for Pin<Box<Generator<(), Y, F, B>>>
{
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future,
        panic::{AssertUnwindSafe, catch_unwind},
        pin::pin,
    };

    /// What `work` panics with.
    fn panic_of<T>(work: impl FnOnce() -> T) -> String {
        let Err(payload) = catch_unwind(AssertUnwindSafe(work)) else { panic!("no panic") };
        let owned = payload.downcast_ref::<String>().cloned();
        owned.or_else(|| payload.downcast_ref::<&str>().map(|s| s.to_string())).unwrap()
    }

    /// Counts how many of it were dropped.
    struct Dropped<'a>(&'a Cell<u32>);

    impl Drop for Dropped<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn nothing_runs_before_the_first_resume() {
        let ran = Cell::new(0);
        let ran = &ran;
        let mut generator = pin!(Generator::new(|co| {
            ran.set(1); // not even what stands before the `async` block
            async move {
                ran.set(2);
                co.yield_(()).await;
                ran.set(3);
            }
        }));
        assert_eq!(ran.get(), 0);
        assert_eq!(generator.as_mut().resume(()), Ok(Step::Yielded(())));
        assert_eq!(ran.get(), 2);
        assert_eq!(generator.as_mut().resume(()), Ok(Step::Returned(())));
        assert_eq!(ran.get(), 3);
    }

    #[test]
    fn each_input_arrives_once_and_in_order() {
        let mut echo = pin!(Generator::with_input(|co, mut input: String| async move {
            while input != "end" {
                input = co.yield_(input).await;
            }
            0
        }));
        for word in ["a", "b", "c"] {
            assert_eq!(echo.as_mut().resume(word.into()), Ok(Step::Yielded(word.into())));
        }
        assert_eq!(echo.as_mut().resume("end".into()), Ok(Step::Returned(0)));
        assert_eq!(echo.as_mut().resume("more".into()), Err(Ended));
    }

    #[test]
    fn it_yields_and_is_sent_what_borrows() {
        let words = [String::from("a"), String::from("b")];
        let total = Cell::new(0);
        let (words, total) = (&words, &total);
        let lengths = Generator::new(|co| async move {
            for word in words {
                co.yield_(word.as_str()).await;
                total.set(total.get() + word.len());
            }
        });
        assert_eq!(pin!(lengths).collect::<String>(), "ab");
        assert_eq!(total.get(), 2);
    }

    #[test]
    fn it_ends_for_good() {
        let mut generator = Box::pin(Generator::new(|co| async move { co.yield_(1).await }));
        assert_eq!([generator.next(), generator.next(), generator.next()], [Some(1), None, None]);
        assert_eq!(generator.as_mut().resume(()), Err(Ended));
    }

    #[test]
    fn dropped_half_way_it_drops_what_it_holds() {
        let dropped = Cell::new(0);
        let counter = &dropped;
        let body = |co: Co<(), u32>| async move {
            let _one = Dropped(counter);
            co.yield_(1).await;
            let _two = Dropped(counter);
            co.yield_(2).await;
        };
        drop(Generator::new(body));
        assert_eq!(dropped.get(), 0, "it had not begun");
        let mut once = Box::pin(Generator::new(body));
        assert_eq!(once.next(), Some(1));
        drop(once);
        assert_eq!(dropped.replace(0), 1);
        let mut twice = Box::pin(Generator::new(body));
        assert_eq!(twice.by_ref().take(2).sum::<u32>(), 3);
        drop(twice);
        assert_eq!(dropped.replace(0), 2);
    }

    #[test]
    fn what_it_holds_goes_when_it_returns() {
        let dropped = Cell::new(0);
        let counter = &dropped;
        let mut generator = pin!(Generator::new(|co| {
            let held = Dropped(counter);
            async move {
                let _held = held;
                co.yield_(()).await;
            }
        }));
        assert_eq!(generator.as_mut().count(), 1);
        assert_eq!(dropped.get(), 1, "although the generator is still there");
    }

    #[test]
    fn a_panic_ends_it() {
        let dropped = Cell::new(0);
        let counter = &dropped;
        let mut generator = pin!(Generator::new(|co| async move {
            let _held = Dropped(counter);
            co.yield_(1).await;
            panic!("on purpose");
        }));
        assert_eq!(generator.next(), Some(1));
        assert_eq!(panic_of(|| generator.next()), "on purpose");
        assert_eq!(dropped.get(), 1);
        assert_eq!(generator.next(), None);
        assert!(generator.as_mut().resume(()).is_err());
    }

    #[test]
    fn a_foreign_future_is_named() {
        let mut generator = pin!(Generator::new(|co| async move {
            co.yield_(1).await;
            future::pending::<()>().await;
        }));
        assert_eq!(generator.next(), Some(1));
        let said = panic_of(|| generator.next());
        assert!(said.contains("other than its own `yield_`"), "{said}");
        assert_eq!(generator.next(), None);
    }

    #[test]
    fn a_future_that_is_ready_is_no_misuse() {
        let ready = Generator::new(|co| async move {
            let n = future::ready(2).await;
            co.yield_(n).await;
        });
        assert!(pin!(ready).eq([2]));
    }

    #[test]
    fn the_yield_of_another_generator_is_foreign() {
        let mut outer = pin!(Generator::new(|co: Co<(), u32>| async move {
            let mut inner = pin!(Generator::new(|_: Co<(), u32>| async move {
                co.yield_(1).await; // not its own
            }));
            inner.next();
        }));
        let said = panic_of(|| outer.next());
        assert!(said.contains("other than its own `yield_`"), "{said}");
    }

    #[test]
    fn two_yields_at_once_are_named() {
        let mut generator = pin!(Generator::new(|co: Co<(), u32>| async move {
            let (mut a, mut b) = (pin!(co.yield_(1)), pin!(co.yield_(2)));
            future::poll_fn(|cx| {
                let _ = a.as_mut().poll(cx);
                b.as_mut().poll(cx)
            })
            .await;
        }));
        let said = panic_of(|| generator.next());
        assert!(said.contains("one `yield_` at a time"), "{said}");
    }

    #[test]
    fn a_yield_that_is_asked_twice_waits() {
        let mut generator = pin!(Generator::with_input(|co, (): ()| async move {
            let mut one = pin!(co.yield_(1));
            future::poll_fn(|cx| match one.as_mut().poll(cx) {
                Poll::Pending => one.as_mut().poll(cx), // once more than needed
                ready => ready,
            })
            .await
        }));
        assert_eq!(generator.next(), Some(1));
        assert_eq!(generator.as_mut().resume(()), Ok(Step::Returned(())));
    }

    #[test]
    fn generators_nest() {
        let outer = Generator::new(|co| async move {
            for n in 1..=3 {
                let inner = Generator::new(|co| async move {
                    for m in 1..=n {
                        co.yield_(m).await;
                    }
                });
                // What Python writes as `yield from inner`.
                let inner = pin!(inner);
                for m in inner {
                    co.yield_(10 * n + m).await;
                }
            }
        });
        assert!(pin!(outer).eq([11, 21, 22, 31, 32, 33]));
    }
}
