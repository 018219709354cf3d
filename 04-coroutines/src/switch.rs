//! Coroutines with stacks of their own that switch to each other, as `greenlet` has them for
//! Python.
//!
//! A [`Hub`] owns some coroutines and the values of one type that go between them. The main program
//! switches to one of them; that one switches to another, from however deep in its calls, or back
//! to main; whoever is switched to goes on where it was, and gets the value. Main gets it back at
//! the latest when a coroutine returns.
//!
//! The switching of stacks is done by `corosensei`, whose coroutines know only resume and yield.
//! Here a coroutine yields to the hub *where to go*, and the hub resumes that one: a switch costs
//! one yield, one resume, and finding the target.
//!
//! Nothing here is undefined, whatever one does:
//!
//! - Switching to one that has ended, to oneself, to one without a function, or to another hub's is
//!   an error.
//! - A coroutine that panics has ended; main hears of it, and can still switch to the others.
//! - One that is dropped half-way, with its hub or by [`Hub::cancel`], is unwound: what is on its
//!   stack is dropped. Destructors that want to switch meanwhile get an error.
//!
//! A stack is 1 MiB of address space, of which the kernel provides the pages that are touched;
//! below it is a page that nobody may touch, so a stack that overflows ends the program with
//! SIGSEGV.

use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::{
    any::Any,
    cell::{Cell, RefCell},
    fmt,
    hint::black_box,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::{Rc, Weak},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
};

/// A coroutine of a [`Hub`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id {
    hub: u64,
    index: usize,
}

/// Why there was no switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwitchError {
    /// The coroutine belongs to another hub.
    Foreign,
    /// It has an id and no function yet.
    Undefined,
    /// From [`Hub::define`]: it has a function already.
    Defined,
    /// It is running: it is the one that wants to switch.
    Running,
    /// It had ended before.
    Ended,
    /// From main: a coroutine panicked, which ended it. Not necessarily the one that main switched
    /// to.
    Panicked {
        /// Which one.
        id: Id,
        /// What it said.
        message: String,
    },
    /// The stack that would be left is being unwound, by a panic or because it is dropped.
    Unwinding,
    /// [`Hub`] was used from inside one of its coroutines, which is what [`Here`] is for.
    Inside,
}

impl fmt::Display for SwitchError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            SwitchError::Foreign => f.write_str("the coroutine belongs to another hub"),
            SwitchError::Undefined => f.write_str("the coroutine has no function yet"),
            SwitchError::Defined => f.write_str("the coroutine has a function already"),
            SwitchError::Running => f.write_str("the coroutine is the one that is running"),
            SwitchError::Ended => f.write_str("the coroutine has ended"),
            SwitchError::Panicked { id, message } => {
                write!(f, "coroutine {} panicked: {message}", id.index)
            }
            SwitchError::Unwinding => f.write_str("no switch while the stack is being unwound"),
            SwitchError::Inside => f.write_str("inside a coroutine, switch by what it was given"),
        }
    }
}

impl std::error::Error for SwitchError {}

/// A coroutine that can go on. It yields the one to go on with, or none for main. Values go by way
/// of [`Shared::value`]: to hand over what fits a register costs least.
struct Stack {
    index: usize,
    coroutine: Coroutine<(), Next, ()>,
}
type Next = Option<Box<Stack>>;

/// How far a coroutine is. It has a stack from its definition until its end; while it runs, the
/// hub's loop holds that.
enum State {
    Undefined,
    Suspended(Box<Stack>),
    Running,
    Ended,
}

impl State {
    #[cold]
    fn refused(&self) -> SwitchError {
        match self {
            State::Undefined => SwitchError::Undefined,
            State::Suspended(_) => SwitchError::Defined,
            State::Running => SwitchError::Running,
            State::Ended => SwitchError::Ended,
        }
    }
}

/// The states of all coroutines, by index. The first ones are in the hub itself: a switch waits for
/// the memory on its way to the stack, and that is one place less.
struct States {
    first: [Cell<State>; States::FIRST],
    more: RefCell<Vec<Cell<State>>>,
    count: Cell<usize>,
}

impl States {
    const FIRST: usize = 8;

    fn new() -> States {
        let first = [const { Cell::new(State::Undefined) }; States::FIRST];
        States { first, more: RefCell::default(), count: Cell::new(0) }
    }

    /// One more; its index.
    fn add(&self) -> usize {
        let index = self.count.replace(self.count.get() + 1);
        if index >= States::FIRST {
            self.more.borrow_mut().push(Cell::new(State::Undefined));
        }
        index
    }

    /// Sets the state of a coroutine and gives the one it had. Dropping that is the caller's: a
    /// coroutine that is dropped may look here itself.
    #[inline]
    fn replace(&self, index: usize, state: State) -> State {
        match self.first.get(index) {
            Some(cell) => cell.replace(state),
            None => self.more.borrow()[index - States::FIRST].replace(state),
        }
    }

    /// Looks at the state of a coroutine.
    fn look<T>(&self, index: usize, look: impl FnOnce(&State) -> T) -> T {
        let state = self.replace(index, State::Running);
        let seen = look(&state);
        self.replace(index, state);
        seen
    }
}

struct Shared<V: 'static> {
    number: u64,
    /// For the coroutines: they hold the hub only while they run.
    own: Weak<Shared<V>>,
    states: States,
    /// Whether a coroutine runs, and not main.
    inside: Cell<bool>,
    /// What is being handed over: there from when one stack is left until the next one goes on.
    value: Cell<Option<V>>,
}

impl<V> Shared<V> {
    #[inline]
    fn index(&self, id: Id) -> Result<usize, SwitchError> {
        if id.hub == self.number { Ok(id.index) } else { Err(SwitchError::Foreign) }
    }

    /// Takes the stack of a coroutine that is to go on.
    #[inline]
    fn begin(&self, id: Id) -> Result<Box<Stack>, SwitchError> {
        let index = self.index(id)?;
        match self.states.replace(index, State::Running) {
            State::Suspended(stack) => Ok(stack),
            other => {
                let why = other.refused();
                self.states.replace(index, other);
                Err(why)
            }
        }
    }

    /// Whether the caller is main, and could switch.
    fn outside(&self) -> Result<(), SwitchError> {
        if self.inside.get() {
            Err(SwitchError::Inside)
        } else if thread::panicking() {
            Err(SwitchError::Unwinding)
        } else {
            Ok(())
        }
    }

    fn reserve(&self) -> Id {
        Id { hub: self.number, index: self.states.add() }
    }

    fn define(
        &self,
        id: Id,
        body: impl FnOnce(&Here<V>, V) -> V + 'static,
    ) -> Result<(), SwitchError> {
        let index = self.index(id)?;
        match self.states.look(index, State::refused) {
            SwitchError::Undefined => {}
            why => return Err(why),
        }
        let own = self.own.clone();
        let coroutine = Coroutine::new(move |yielder: &Yielder<(), Next>, ()| {
            let shared = own.upgrade().expect("the hub is there while its coroutines run");
            let mut body = Some(body);
            lower(index % OFFSETS, &mut || {
                let body = body.take().expect("it runs once");
                let value = body(&Here { shared: &shared, yielder }, shared.arrived());
                shared.value.set(Some(value));
            });
        });
        self.states.replace(index, State::Suspended(Box::new(Stack { index, coroutine })));
        Ok(())
    }

    fn spawn(&self, body: impl FnOnce(&Here<V>, V) -> V + 'static) -> Id {
        let id = self.reserve();
        self.define(id, body).expect("it is new");
        id
    }

    /// The value that came with a switch.
    #[inline]
    fn arrived(&self) -> V {
        self.value.take().expect("whoever switches leaves a value")
    }

    /// Runs coroutine after coroutine, each as the one before it said, until one says main. A panic
    /// in one comes out of here.
    fn run(&self, mut stack: Box<Stack>) {
        loop {
            let (step, index) = (stack.coroutine.resume(()), stack.index);
            let (state, next) = match step {
                CoroutineResult::Yield(next) => (State::Suspended(stack), next),
                CoroutineResult::Return(()) => (State::Ended, None),
            };
            mem::forget(self.states.replace(index, state)); // `Running`, which has nothing to drop
            let Some(next) = next else { return };
            stack = next;
        }
    }

    /// Ends a coroutine where it stands. The error is what it panicked with at that.
    fn unwind(&self, mut stack: Stack) -> Result<(), String> {
        self.states.replace(stack.index, State::Ended);
        let inside = self.inside.replace(false); // so that it cannot switch
        // Not left to its `drop`, which would abort the program if it panicked.
        let outcome = catch_unwind(AssertUnwindSafe(|| stack.coroutine.force_unwind()));
        self.inside.set(inside);
        drop(self.value.take()); // it may have caught its end and returned
        outcome.map_err(|payload| message(&*payload))
    }
}

/// How many different offsets stacks begin at. All stacks begin at the same offset in a page, so
/// coroutines with the same code would keep the same variables at the same offsets. That costs over
/// half as much time again (measured), most likely by 4K aliasing: the processor compares the low
/// 12 bits of addresses first, and takes a load from one stack to depend on a store to the other.
const OFFSETS: usize = 8;

/// Runs `body` some steps further down the stack.
#[inline(never)]
fn lower(steps: usize, body: &mut dyn FnMut()) {
    let room = [0_u8; 200];
    black_box(&room);
    if steps == 0 {
        body()
    } else {
        lower(steps - 1, body)
    }
    black_box(&room); // or else the compiler could leave by a jump, without a frame
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("something that is no text").into()
}

/// Some coroutines and the main program, which switch to each other with values of type `V`.
///
/// ```
/// use coroutines::switch::Hub;
///
/// let hub = Hub::new();
/// let (ping, pong) = (hub.reserve(), hub.reserve());
/// hub.define(ping, move |here, n: u32| {
///     let n = here.switch(pong, n + 1).unwrap(); // goes on in `pong`
///     here.switch(pong, n + 1).unwrap();
///     unreachable!("nobody switches back")
/// })?;
/// hub.define(pong, move |here, n| {
///     let n = here.switch(ping, n * 10).unwrap();
///     n * 10 // to main
/// })?;
/// assert_eq!(hub.switch(ping, 1)?, 210); // 1, 2, 20, 21, 210
/// assert!(hub.has_ended(pong) && !hub.has_ended(ping));
/// # Ok::<(), coroutines::switch::SwitchError>(())
/// ```
pub struct Hub<V: 'static> {
    shared: Rc<Shared<V>>,
}

/// The hub as a coroutine of it sees it, from the inside.
pub struct Here<'a, V: 'static> {
    shared: &'a Shared<V>,
    yielder: &'a Yielder<(), Next>,
}

impl<V> Default for Hub<V> {
    fn default() -> Self {
        Hub::new()
    }
}

impl<V> Hub<V> {
    /// A hub without coroutines.
    pub fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let shared = |own: &Weak<_>| {
            let (own, inside, value) = (own.clone(), Cell::new(false), Cell::new(None));
            Shared { number, own, states: States::new(), inside, value }
        };
        Hub { shared: Rc::new_cyclic(shared) }
    }

    /// An id for a coroutine whose function comes later, so that others can be told of it.
    pub fn reserve(&self) -> Id {
        self.shared.reserve()
    }

    /// Says what the coroutine is to do. It begins at the first switch to it, whose value `body` is
    /// given; what `body` returns goes to main.
    ///
    /// # Errors
    ///
    /// [`Foreign`](SwitchError::Foreign); or, if it has a function already,
    /// [`Defined`](SwitchError::Defined), [`Running`](SwitchError::Running) or
    /// [`Ended`](SwitchError::Ended).
    ///
    /// # Panics
    ///
    /// If there is no memory for its stack.
    pub fn define(
        &self,
        id: Id,
        body: impl FnOnce(&Here<V>, V) -> V + 'static,
    ) -> Result<(), SwitchError> {
        self.shared.define(id, body)
    }

    /// A new coroutine that does this: [`reserve`](Hub::reserve) and [`define`](Hub::define) in
    /// one.
    pub fn spawn(&self, body: impl FnOnce(&Here<V>, V) -> V + 'static) -> Id {
        self.shared.spawn(body)
    }

    /// Leaves main and goes on in coroutine `id`, which gets `value`. Returns when one of the hub's
    /// coroutines switches to main, or returns: with the value it brings.
    ///
    /// # Errors
    ///
    /// Any [`SwitchError`]: nothing was switched, except for [`Panicked`](SwitchError::Panicked).
    pub fn switch(&self, id: Id, value: V) -> Result<V, SwitchError> {
        let shared = &*self.shared;
        shared.outside()?;
        let stack = shared.begin(id)?;
        shared.value.set(Some(value));
        shared.inside.set(true);
        let outcome = catch_unwind(AssertUnwindSafe(|| shared.run(stack)));
        shared.inside.set(false);
        outcome.map(|()| shared.arrived()).map_err(|payload| {
            let runs = |index: &usize| shared.states.look(*index, |s| matches!(s, State::Running));
            let index = (0..shared.states.count.get()).find(runs).expect("it ran");
            shared.states.replace(index, State::Ended);
            let id = Id { hub: shared.number, index };
            SwitchError::Panicked { id, message: message(&*payload) }
        })
    }

    /// Ends a coroutine where it stands: its stack is unwound, and what is on it is dropped.
    ///
    /// # Errors
    ///
    /// As [`switch`](Hub::switch). If it panicked at that, it has ended all the same.
    pub fn cancel(&self, id: Id) -> Result<(), SwitchError> {
        self.shared.outside()?;
        let stack = self.shared.begin(id)?;
        self.shared.unwind(*stack).map_err(|message| SwitchError::Panicked { id, message })
    }

    /// Whether this coroutine has ended: it returned, panicked or was cancelled. `false` for
    /// another hub's.
    pub fn has_ended(&self, id: Id) -> bool {
        let ended = |index| self.shared.states.look(index, |state| matches!(state, State::Ended));
        self.shared.index(id).is_ok_and(ended)
    }
}

impl<V> Drop for Hub<V> {
    /// Unwinds the coroutines that have not ended, the oldest first. If one panics at that, its
    /// message has been printed as for any panic, and the next one follows.
    fn drop(&mut self) {
        // Their destructors may make new ones.
        let mut index = 0;
        while index < self.shared.states.count.get() {
            let id = Id { hub: self.shared.number, index };
            if let Ok(stack) = self.shared.begin(id) {
                let _ = self.shared.unwind(*stack);
            }
            index += 1;
        }
    }
}

impl<V> Here<'_, V> {
    /// Leaves this coroutine and goes on in coroutine `id`, which gets `value`. Returns when
    /// somebody switches to this one: with the value that brings.
    ///
    /// # Errors
    ///
    /// [`Foreign`](SwitchError::Foreign), [`Undefined`](SwitchError::Undefined),
    /// [`Running`](SwitchError::Running), [`Ended`](SwitchError::Ended) or
    /// [`Unwinding`](SwitchError::Unwinding): nothing was switched.
    #[inline(always)] // see `go`
    pub fn switch(&self, id: Id, value: V) -> Result<V, SwitchError> {
        self.can_leave()?;
        let next = self.shared.begin(id)?;
        Ok(self.go(Some(next), value))
    }

    /// The same to main, whose `switch` returns `value`.
    ///
    /// # Errors
    ///
    /// [`Unwinding`](SwitchError::Unwinding): nothing was switched.
    #[inline(always)] // see `go`
    pub fn switch_to_main(&self, value: V) -> Result<V, SwitchError> {
        self.can_leave()?;
        Ok(self.go(None, value))
    }

    /// A new coroutine of the same hub: see [`Hub::spawn`].
    pub fn spawn(&self, body: impl FnOnce(&Here<V>, V) -> V + 'static) -> Id {
        self.shared.spawn(body)
    }

    #[inline(always)]
    fn can_leave(&self) -> Result<(), SwitchError> {
        if thread::panicking() || !self.shared.inside.get() { self.stay() } else { Ok(()) }
    }

    /// It is being unwound, and whoever does that waits for the end of it.
    #[cold]
    #[inline(never)]
    fn stay(&self) -> Result<(), SwitchError> {
        if !thread::panicking() {
            self.yielder.suspend(None); // it has caught its end: this is the next one
        }
        Err(SwitchError::Unwinding)
    }

    // A processor predicts the target of a `ret` from the `call`s it saw (return-address
    // prediction), and `suspend` leaves by a `ret`. A call between the hub's `resume` and this
    // point makes that prediction fail twice per switch, which costs several times as much as the
    // rest.
    #[inline(always)]
    fn go(&self, next: Next, value: V) -> V {
        self.shared.value.set(Some(value));
        self.yielder.suspend(next);
        self.shared.arrived()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SwitchError::{Defined, Ended, Foreign, Inside, Panicked, Running, Undefined, Unwinding};

    /// Says in a list that it was dropped, and what came of a switch tried meanwhile.
    type Log = Rc<RefCell<Vec<String>>>;
    struct Tidy(&'static str, Log);

    impl Drop for Tidy {
        fn drop(&mut self) {
            self.1.borrow_mut().push(self.0.into());
        }
    }

    /// Tries to switch to main when it is dropped.
    struct Stubborn<'a>(&'a Here<'a, u32>, Log);

    impl Drop for Stubborn<'_> {
        fn drop(&mut self) {
            self.1.borrow_mut().push(format!("{:?}", self.0.switch_to_main(1)));
        }
    }

    #[test]
    fn a_switch_goes_on_where_its_target_was_also_in_a_nested_call() {
        fn deep(here: &Here<u32>, to: Id, depth: u32, value: u32) -> u32 {
            if depth > 0 {
                deep(here, to, depth - 1, value)
            } else {
                here.switch(to, value).unwrap()
            }
        }
        let hub = Hub::new();
        let [a, b] = [hub.reserve(), hub.reserve()];
        hub.define(a, move |here, mut n| {
            for _ in 0..1000 {
                n = deep(here, b, 20, n + 1);
            }
            n
        })
        .unwrap();
        hub.define(b, move |here, mut n| {
            loop {
                n = here.switch(a, n + 1).unwrap();
            }
        })
        .unwrap();
        assert_eq!(hub.switch(a, 0), Ok(2000));
        assert!(hub.has_ended(a) && !hub.has_ended(b));
    }

    #[test]
    fn main_and_a_coroutine_take_turns() {
        let hub = Hub::new();
        let double = hub.spawn(|here, mut n: u32| {
            while n != 0 {
                n = here.switch_to_main(2 * n).unwrap();
            }
            7
        });
        assert_eq!([1, 2, 3, 0].map(|n| hub.switch(double, n)), [2, 4, 6, 7].map(Ok));
        assert_eq!(hub.switch(double, 1), Err(Ended));
    }

    #[test]
    fn values_of_any_size_arrive_whole() {
        let hub = Hub::new();
        let id = hub.spawn(|here, mut text: (String, [u64; 20])| {
            loop {
                text.0.push('!');
                text.1[19] += 1;
                text = here.switch_to_main(text).unwrap();
            }
        });
        let once = hub.switch(id, ("a".into(), [1; 20])).unwrap();
        let twice = hub.switch(id, once).unwrap();
        assert_eq!((twice.0.as_str(), twice.1[0], twice.1[19]), ("a!!", 1, 3));
    }

    #[test]
    fn what_cannot_be_switched_to_is_an_error_and_nothing_happened() {
        let hub = Hub::new();
        let [undefined, over, me] = [hub.reserve(), hub.spawn(|_, n| n), hub.reserve()];
        let foreign = Hub::<u32>::new().spawn(|_, n| n);
        assert_eq!(hub.switch(over, 5), Ok(5));
        hub.define(me, move |here, _| {
            assert_eq!(here.switch(undefined, 1), Err(Undefined));
            assert_eq!(here.switch(over, 1), Err(Ended));
            assert_eq!(here.switch(me, 1), Err(Running));
            assert_eq!(here.switch(foreign, 1), Err(Foreign));
            9
        })
        .unwrap();
        assert_eq!(hub.define(me, |_, n| n), Err(Defined));
        assert_eq!(hub.switch(undefined, 1), Err(Undefined));
        assert_eq!(hub.switch(foreign, 1), Err(Foreign));
        assert_eq!(hub.switch(over, 1), Err(Ended));
        assert_eq!(hub.switch(me, 1), Ok(9));
        assert_eq!(hub.define(over, |_, n| n), Err(Ended));
        assert_eq!(hub.cancel(over), Err(Ended));
        assert!(!hub.has_ended(foreign));
    }

    #[test]
    fn main_s_handle_is_refused_inside() {
        let hub = Rc::new(Hub::new());
        let (inside, other) = (Rc::downgrade(&hub), hub.spawn(|_, n| n));
        let id = hub.spawn(move |_, n: u32| {
            let hub = inside.upgrade().unwrap();
            assert_eq!(hub.switch(other, 1), Err(Inside));
            assert_eq!(hub.cancel(other), Err(Inside));
            n + 1
        });
        assert_eq!(hub.switch(id, 1), Ok(2));
    }

    #[test]
    fn a_coroutine_makes_others() {
        let hub = Hub::new();
        let first = hub.spawn(|here, n: u32| {
            let mut sum = 0;
            for _ in 0..n {
                // The list of coroutines grows while this one runs.
                let next = here.spawn(|here, n| here.switch_to_main(n).unwrap());
                sum += here.switch(next, 1).unwrap();
            }
            sum
        });
        // Each new one stops at main, which sends the first one on.
        let mut came = hub.switch(first, 100).unwrap();
        let mut turns = 0;
        while !hub.has_ended(first) {
            turns += 1;
            came = hub.switch(first, came).unwrap();
        }
        assert_eq!((came, turns), (100, 100));
    }

    #[test]
    fn a_panic_is_main_s_error_and_ends_only_the_one() {
        let log = Log::default();
        let hub = Hub::new();
        let [a, b] = [hub.reserve(), hub.reserve()];
        hub.define(a, move |here, n| 10 * here.switch(b, n).unwrap()).unwrap();
        let held = Rc::clone(&log);
        hub.define(b, move |here, n| {
            let _tidy = Tidy("b", Rc::clone(&held));
            let _stubborn = Stubborn(here, held);
            panic!("not {n}")
        })
        .unwrap();
        assert_eq!(hub.switch(a, 4), Err(Panicked { id: b, message: "not 4".into() }));
        assert_eq!(*log.borrow(), ["Err(Unwinding)", "b"]);
        assert!(hub.has_ended(b));
        assert_eq!(hub.switch(a, 5), Ok(50), "a still waits for its switch");
    }

    #[test]
    fn one_that_is_dropped_half_way_is_unwound() {
        let log = Log::default();
        let hub = Hub::new();
        let spawn = |name| {
            let log = Rc::clone(&log);
            hub.spawn(move |here, n| {
                let _tidy = Tidy(name, log);
                here.switch_to_main(n).unwrap()
            })
        };
        let [one, two, _never_begun] = ["one", "two", "three"].map(spawn);
        assert_eq!((hub.switch(one, 1), hub.switch(two, 2)), (Ok(1), Ok(2)));
        assert_eq!(hub.cancel(two), Ok(()));
        assert_eq!(*log.borrow(), ["two"]);
        assert_eq!(hub.switch(two, 2), Err(Ended));
        drop(hub);
        assert_eq!(*log.borrow(), ["two", "one"]);
        assert_eq!(Rc::strong_count(&log), 1, "nothing leaks, also of the one that never began");
    }

    #[test]
    fn a_destructor_that_switches_while_it_is_dropped_gets_an_error() {
        let log = Log::default();
        let hub = Hub::new();
        let held = Rc::clone(&log);
        let id = hub.spawn(move |here, n| {
            let _stubborn = Stubborn(here, held);
            here.switch_to_main(n).unwrap()
        });
        assert_eq!(hub.switch(id, 1), Ok(1));
        assert_eq!(hub.cancel(id), Ok(()));
        assert_eq!(*log.borrow(), [format!("{:?}", Err::<u32, _>(Unwinding))]);
    }

    #[test]
    fn one_that_catches_its_end_ends_all_the_same() {
        let hub = Hub::new();
        let tries = Rc::new(Cell::new(0));
        let count = Rc::clone(&tries);
        let id = hub.spawn(move |here, n| {
            for _ in 0..3 {
                let caught = catch_unwind(AssertUnwindSafe(|| here.switch_to_main(n)));
                assert!(caught.is_err());
                count.set(count.get() + 1);
            }
            n
        });
        assert_eq!(hub.switch(id, 1), Ok(1));
        assert_eq!(hub.cancel(id), Ok(()));
        assert_eq!(tries.get(), 3);
        assert_eq!(hub.switch(id, 1), Err(Ended));
    }

    #[test]
    fn one_that_catches_its_end_takes_no_other_along() {
        let hub = Hub::new();
        let other = hub.spawn(|here, n: u32| here.switch_to_main(n).unwrap() + 1);
        let id = hub.spawn(move |here, n| {
            let _ = catch_unwind(AssertUnwindSafe(|| here.switch_to_main(n)));
            here.switch(other, n).unwrap()
        });
        assert_eq!((hub.switch(other, 1), hub.switch(id, 2)), (Ok(1), Ok(2)));
        assert_eq!(hub.cancel(id), Ok(()));
        assert_eq!(hub.switch(other, 5), Ok(6), "it stands where it stood");
    }

    #[test]
    fn a_panic_at_the_end_is_an_error_and_no_abort() {
        let panics_at_its_end = |hub: &Hub<u32>| {
            hub.spawn(|here, n| {
                let _ = catch_unwind(AssertUnwindSafe(|| here.switch_to_main(n)));
                panic!("I will not go");
            })
        };
        let hub = Hub::new();
        let [id, other] = [panics_at_its_end(&hub), panics_at_its_end(&hub)];
        assert_eq!((hub.switch(id, 1), hub.switch(other, 1)), (Ok(1), Ok(1)));
        assert_eq!(hub.cancel(id), Err(Panicked { id, message: "I will not go".into() }));
        assert_eq!(hub.switch(id, 1), Err(Ended));
        drop(hub); // and so does `other` now
    }

    #[test]
    fn a_main_that_panics_unwinds_its_coroutines_too() {
        let log = Log::default();
        let held = Rc::clone(&log);
        let main = catch_unwind(AssertUnwindSafe(|| {
            let hub = Hub::new();
            let id = hub.spawn(move |here, n| {
                let _tidy = Tidy("coroutine", Rc::clone(&held));
                let _stubborn = Stubborn(here, held);
                here.switch_to_main(n).unwrap()
            });
            hub.switch(id, 1).unwrap();
            panic!("main");
        }));
        assert_eq!(message(&*main.unwrap_err()), "main");
        assert_eq!(*log.borrow(), ["Err(Unwinding)", "coroutine"]);
        assert_eq!(Rc::strong_count(&log), 1);
    }

    #[test]
    fn hubs_nest() {
        let outer = Hub::new();
        let id = outer.spawn(|here, n: u32| {
            let inner = Hub::new();
            let double = inner.spawn(|here, mut n: u32| {
                loop {
                    n = here.switch_to_main(2 * n).unwrap();
                }
            });
            let n = here.switch_to_main(inner.switch(double, n).unwrap()).unwrap();
            inner.switch(double, n).unwrap()
        });
        assert_eq!([outer.switch(id, 1), outer.switch(id, 5)], [Ok(2), Ok(10)]);
    }

    #[test]
    fn a_thousand_coroutines_pass_a_value_round() {
        let hub = Hub::new();
        let ids: Rc<[Id]> = (0..1000).map(|_| hub.reserve()).collect();
        for index in 0..ids.len() {
            let all = Rc::clone(&ids);
            let next = (index + 1) % all.len();
            let body = move |here: &Here<usize>, mut n| {
                loop {
                    let to_main = n == 10_000;
                    n = if to_main {
                        here.switch_to_main(n)
                    } else {
                        here.switch(all[next], n + 1)
                    }
                    .unwrap();
                }
            };
            hub.define(ids[index], body).unwrap();
        }
        assert_eq!(hub.switch(ids[0], 0), Ok(10_000));
    }
}
