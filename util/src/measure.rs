//! What a piece of work cost: time, context switches, memory; and a plain table to show it in.

pub use crate::counted::Switches;

use crate::sys::{self, Who};
use std::{
    fmt, io,
    time::{Duration, Instant},
};

/// What a piece of work cost this process: all of its threads, and those of its children that ended
/// and were waited for meanwhile. On Windows the children are not counted.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// By the clock on the wall.
    pub wall: Duration,
    /// On processors, in user and kernel mode, summed over threads.
    pub cpu: Duration,
    /// Context switches; `None`, if the system does not report them, as macOS and Windows do not.
    pub switches: Option<Switches>,
}

/// Runs `work` and says what it cost, along with what it returned.
///
/// The kernel counts CPU time as it switches, so a few microseconds of work can cost nothing;
/// and what other threads of this process do meanwhile counts as well.
///
/// ```
/// let (primes, cost) = util::measure::cost(|| util::work::count_primes(0..10_000));
/// assert_eq!(primes, 1229);
/// assert!(cost.wall.as_nanos() > 0);
/// ```
pub fn cost<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let usage = || [Who::Process, Who::Children].map(sys::usage);
    let before = usage();
    let started = Instant::now();
    let result = work();
    let mut cost = Cost { wall: started.elapsed(), cpu: Duration::ZERO, switches: None };
    for (before, after) in before.into_iter().zip(usage()) {
        let Some((before, after)) = before.zip(after) else { continue };
        cost.cpu += after.cpu - before.cpu;
        if let Some((before, after)) = before.switches.zip(after.switches) {
            let sum = cost.switches.get_or_insert(Switches { voluntary: 0, involuntary: 0 });
            sum.voluntary += after.voluntary - before.voluntary;
            sum.involuntary += after.involuntary - before.involuntary;
        }
    }
    (result, cost)
}

/// Compares several ways to do the same: what each costs, as its median round by the wall clock.
///
/// All are run once to warm up, then in turns (a machine's speed drifts from minute to minute): at
/// least three rounds, and on until `time` is over.
///
/// # Panics
///
/// If they are not ways to do the same: a result differs from the first one's.
///
/// ```
/// use std::time::Duration;
/// use util::{measure, work::count_primes};
///
/// let (primes, [whole, parts]) = measure::in_turns(Duration::ZERO, [
///     &|| count_primes(0..1000),
///     &|| count_primes(0..500) + count_primes(500..1000),
/// ]);
/// assert_eq!(primes, 168);
/// println!("{:.2} of the time", parts.wall.as_secs_f64() / whole.wall.as_secs_f64());
/// ```
pub fn in_turns<T: PartialEq + fmt::Debug, const N: usize>(
    time: Duration,
    ways: [&dyn Fn() -> T; N],
) -> (T, [Cost; N]) {
    let expected = ways[0]();
    let mut rounds: [Vec<Cost>; N] = std::array::from_fn(|_| Vec::new());
    for way in &ways[1..] {
        assert_eq!(way(), expected, "the ways do not do the same");
    }
    let started = Instant::now();
    while rounds[0].len() < 3 || started.elapsed() < time {
        for (way, costs) in ways.iter().zip(&mut rounds) {
            let (result, cost) = cost(way);
            assert_eq!(result, expected, "the ways do not do the same");
            costs.push(cost);
        }
    }
    (expected, rounds.map(median))
}

/// A table of several ways to do what `head` says: the time of each, and relative to the first one.
///
/// ```
/// use std::time::Duration;
/// use util::measure;
///
/// let (_, costs) = measure::in_turns(Duration::ZERO, [&|| 1, &|| 1]);
/// println!("{}", measure::relative("adding", ["one way", "another"], costs));
/// ```
pub fn relative<const N: usize>(head: &str, names: [&str; N], costs: [Cost; N]) -> Table<3> {
    let mut table = Table::new([head, "time", "relative"]);
    for (name, cost) in names.into_iter().zip(costs) {
        let ratio = cost.wall.as_secs_f64() / costs[0].wall.as_secs_f64();
        table.row([name.into(), format!("{:.1?}", cost.wall), format!("{ratio:.2}")]);
    }
    table
}

/// The cost that as many are above as below, by the wall clock.
fn median(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by_key(|cost| cost.wall);
    costs[costs.len() / 2]
}

/// How often the kernel has switched away from the thread that asks. As long as this does not
/// change, the thread has been running on one processor all the time. `None`, if the system does
/// not report it, as macOS and Windows do not.
///
/// ```
/// use std::{thread, time::Duration};
/// use util::measure::thread_switches;
///
/// if let Some(before) = thread_switches() {
///     thread::sleep(Duration::from_millis(1));
///     assert!(thread_switches().unwrap() > before);
/// }
/// ```
pub fn thread_switches() -> Option<u64> {
    let Switches { voluntary, involuntary } = sys::usage(Who::Thread)?.switches?;
    Some(voluntary + involuntary)
}

/// The memory in bytes that process `id` has of its own: what it has written, and of what `n`
/// processes share to write (shared memory) an `n`th.
///
/// Pages of files (the program's text, libraries) are not in it: the kernel can drop them at any
/// time, and how many processes share them changes with whatever else runs. Nor is kernel memory on
/// its behalf (stacks, page tables, sockets).
///
/// macOS counts as written what it has compressed too (the process's *physical footprint*), Windows
/// all that is committed, written or not (*private bytes*); both leave out shared memory, or count
/// it wholly.
///
/// ```
/// let before = util::measure::memory(std::process::id())?;
/// let written = std::hint::black_box(vec![1u8; 1 << 20]);
/// assert!(util::measure::memory(std::process::id())? >= before + (1 << 20));
/// # drop(written);
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
///
/// If there is no such process, it belongs to somebody else, or the kernel does not say.
pub fn memory(id: u32) -> io::Result<u64> {
    sys::memory(id)
}

/// A plain table: the first column to the left, figures to the right.
///
/// ```
/// use util::measure::Table;
///
/// let mut table = Table::new(["model", "wall", "cpu"]);
/// table.row(["threads", "12 ms", "23 ms"]);
/// assert_eq!(table.to_string(), "\
/// model     wall    cpu
/// threads  12 ms  23 ms");
/// ```
#[derive(Clone, Debug)]
pub struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table with these words over its columns.
    pub fn new(head: [&str; N]) -> Self {
        Table { rows: vec![head.map(String::from)] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: [impl ToString; N]) {
        self.rows.push(cells.map(|cell| cell.to_string()));
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max();
        let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
        for (i, row) in self.rows.iter().enumerate() {
            let mut line = format!("{:1$}", row[0], widths[0]);
            for (cell, width) in row.iter().zip(widths).skip(1) {
                line += &format!("  {cell:>width$}");
            }
            write!(f, "{}{}", if i > 0 { "\n" } else { "" }, line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_costs_cpu_time_and_sleep_does_not() {
        let (_, busy) = cost(|| crate::work::count_primes(0..200_000));
        assert!(busy.cpu > Duration::ZERO);
        let (_, idle) = cost(|| std::thread::sleep(Duration::from_millis(2)));
        assert!(idle.wall >= Duration::from_millis(2));
        assert!(idle.switches.is_none_or(|switches| switches.voluntary > 0));
    }

    #[cfg(unix)]
    #[test]
    fn a_child_that_was_waited_for_counts() {
        let script = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done";
        let run = || std::process::Command::new("sh").args(["-c", script]).status().unwrap();
        let (status, with_child) = cost(run);
        assert!(status.success());
        let (_, without) = cost(|| ());
        assert!(with_child.cpu > without.cpu);
    }

    #[test]
    fn ways_take_turns_and_the_median_counts() {
        let calls = std::cell::RefCell::new(String::new());
        let way = |name| calls.borrow_mut().push(name);
        in_turns(Duration::ZERO, [&|| way('a'), &|| way('b')]);
        assert_eq!(calls.into_inner(), "abababab", "once to warm up, then three rounds");

        let cost = |milliseconds| Cost {
            wall: Duration::from_millis(milliseconds),
            cpu: Duration::ZERO,
            switches: None,
        };
        assert_eq!(median([9, 1, 500].map(cost).to_vec()).wall, Duration::from_millis(9));
    }

    #[test]
    #[should_panic(expected = "do not do the same")]
    fn ways_that_differ_are_not_compared() {
        in_turns(Duration::ZERO, [&|| 1, &|| 2]);
    }

    #[test]
    fn memory_grows_with_what_is_held() {
        let before = memory(std::process::id()).unwrap();
        let held = vec![1_u8; 32 << 20];
        let after = memory(std::process::id()).unwrap();
        assert!(after - before > 24 << 20, "{before} then {after}");
        assert_eq!(held[held.len() / 2], 1);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(memory(u32::MAX).is_err());
    }
}
