//! Advice that follows from figures, and changes when they do.

/// From this many times as fast, a way counts as a gain: less can be chance.
pub const GAIN: f64 = 1.25;
/// Ways that reach this part of the best one count as equally fast.
const AS_GOOD: f64 = 0.85;

/// How many times as fast each way did CPU-bound work as doing it one after the other.
#[derive(Clone, Copy, Debug)]
pub struct CpuBound {
    /// A thread for each part.
    pub threads: f64,
    /// Rayon's pool of threads.
    pub rayon: f64,
    /// A process for each part.
    pub processes: f64,
    /// Async tasks on one thread.
    pub tasks: f64,
}

/// What to do with CPU-bound work on so many `cores`.
///
/// ```
/// use multitask::advice::{CpuBound, cpu_bound};
///
/// let figures = CpuBound { threads: 3.8, rayon: 3.9, processes: 3.0, tasks: 1.0 };
/// let advice = "use threads: 3.8 times as fast on 4 cores; processes gain less (3.0); \
///     async tasks on one thread gain nothing (1.0)";
/// assert_eq!(cpu_bound(4, figures), advice);
/// ```
pub fn cpu_bound(cores: usize, figures: CpuBound) -> String {
    let CpuBound { threads, rayon, processes, tasks } = figures;
    let best = threads.max(rayon).max(processes);
    let one_thread = match tasks {
        gain if gain < GAIN => format!("async tasks on one thread gain nothing ({gain:.1})"),
        gain => format!(
            "async tasks on one thread cannot gain, and seem to ({gain:.1}): this machine was disturbed, measure again"
        ),
    };
    if cores == 1 {
        return format!(
            "one core: this machine cannot show what threads or processes gain; {one_thread}"
        );
    }
    if best < GAIN {
        return format!(
            "do it one after the other: nothing gains here (at best {best:.1} on {cores} cores): \
             the cores are busy with something else, or starting costs more than the work; {one_thread}"
        );
    }
    // The simplest one that is about as fast as the best.
    let ways = [("threads", threads), ("rayon", rayon), ("processes", processes)];
    let (use_this, gain) =
        ways.into_iter().find(|way| way.1 >= AS_GOOD * best).expect("the best is one of them");
    let processes = match processes {
        _ if use_this == "processes" => format!("threads gain less ({threads:.1})"),
        p if p < GAIN => format!("processes gain nothing ({p:.1}): starting them costs too much"),
        p if p < AS_GOOD * best => format!("processes gain less ({p:.1})"),
        p => format!("processes gain as much ({p:.1}), and need it only for a crash to stay apart"),
    };
    format!("use {use_this}: {gain:.1} times as fast on {cores} cores; {processes}; {one_thread}")
}

/// What one way to do IO-bound work reached.
#[derive(Clone, Copy, Debug)]
pub struct IoBound {
    /// What to call it.
    pub name: &'static str,
    /// Requests answered in a second.
    pub rate: f64,
    /// CPU time in seconds for all requests.
    pub cpu: f64,
    /// Bytes of memory held for all requests.
    pub memory: u64,
}

/// What to do with IO-bound work: `alone` is how many requests a second were answered one after the
/// other.
///
/// Among the ways that are about as fast as the fastest, the one with the least memory is the one
/// to use.
///
/// ```
/// use multitask::advice::{IoBound, io_bound};
///
/// let threads = IoBound { name: "threads", rate: 900.0, cpu: 0.02, memory: 1_000_000 };
/// let tasks = IoBound { name: "async tasks", rate: 950.0, cpu: 0.01, memory: 100_000 };
/// let advice = "use async tasks: 95 times as many requests a second as one \
///     after the other; threads: as fast, 10.0 times the memory, 2.0 times the CPU time";
/// assert_eq!(io_bound(10.0, &[threads, tasks]), advice);
/// ```
///
/// # Panics
///
/// If `ways` is empty.
pub fn io_bound(alone: f64, ways: &[IoBound]) -> String {
    let fastest = ways.iter().map(|way| way.rate).fold(0.0, f64::max);
    if fastest < GAIN * alone {
        return format!(
            "do it one after the other: nothing gains here (at best {:.1}); the other side answers one at a time, or this machine is too busy",
            fastest / alone
        );
    }
    let as_fast = |way: &&IoBound| way.rate >= AS_GOOD * fastest;
    let best = ways.iter().filter(as_fast).min_by_key(|way| way.memory).expect("there are ways");
    let mut advice = format!(
        "use {}: {:.0} times as many requests a second as one after the other",
        best.name,
        best.rate / alone
    );
    for way in ways.iter().filter(|way| way.name != best.name) {
        let speed = match way.rate / best.rate {
            ratio if ratio < AS_GOOD => format!("{ratio:.2} of that"),
            ratio if ratio > 1.0 / AS_GOOD => format!("{ratio:.2} times that"),
            _ => "as fast".into(),
        };
        // What is less than can be measured counts as a page, or as a microsecond.
        let memory = way.memory.max(4096) as f64 / best.memory.max(4096) as f64;
        let cpu = way.cpu.max(1e-6) / best.cpu.max(1e-6);
        advice += &format!(
            "; {}: {speed}, {memory:.1} times the memory, {cpu:.1} times the CPU time",
            way.name
        );
    }
    advice
}

/// Where one of the notes' statements about threads held: in which interpreters, by their gains.
///
/// ```
/// use multitask::advice::gains_nothing;
///
/// let gains = [("Rust", 1.9), ("python3 3.11", 0.9)];
/// assert_eq!(gains_nothing(2, &gains), "python3 3.11; not Rust");
/// ```
pub fn gains_nothing<S: AsRef<str>>(cores: usize, gains: &[(S, f64)]) -> String {
    if cores == 1 {
        return "one core: this machine cannot show it".into();
    }
    let names = |holds: bool| {
        let some = gains.iter().filter(|(_, gain)| (*gain < GAIN) == holds);
        some.map(|(name, _)| name.as_ref()).collect::<Vec<_>>().join(", ")
    };
    match (names(true).as_str(), names(false).as_str()) {
        ("", free) => format!("nobody here; not {free}"),
        (bound, "") => format!("{bound}: all that were measured"),
        (bound, free) => format!("{bound}; not {free}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(cores: usize, [threads, rayon, processes, tasks]: [f64; 4]) -> String {
        cpu_bound(cores, CpuBound { threads, rayon, processes, tasks })
    }

    #[test]
    fn the_simplest_of_the_fastest_is_advised() {
        assert!(cpu(4, [3.8, 3.9, 3.9, 1.0]).starts_with("use threads: 3.8 times"));
        assert!(cpu(4, [2.0, 3.9, 3.9, 1.0]).starts_with("use rayon: 3.9 times"));
        assert!(cpu(4, [2.0, 2.0, 3.9, 1.0]).starts_with("use processes: 3.9 times"));
    }

    #[test]
    fn processes_are_judged_by_their_figure() {
        assert!(cpu(2, [1.9, 1.9, 1.9, 1.0]).contains("processes gain as much (1.9)"));
        assert!(cpu(2, [1.9, 1.9, 1.4, 1.0]).contains("processes gain less (1.4)"));
        assert!(cpu(2, [1.9, 1.9, 0.7, 1.0]).contains("processes gain nothing (0.7)"));
        assert!(cpu(2, [1.0, 1.0, 1.9, 1.0]).contains("threads gain less (1.0)"));
    }

    #[test]
    fn no_gain_is_no_advice_to_use_anything() {
        assert!(cpu(2, [1.0, 1.1, 0.9, 1.0]).starts_with("do it one after the other"));
        assert!(cpu(1, [1.0, 1.0, 0.9, 1.0]).starts_with("one core: this machine cannot show"));
        assert!(cpu(2, [1.9, 1.9, 1.9, 1.5]).contains("measure again"));
    }

    #[test]
    fn io_advice_follows_speed_first_and_then_memory() {
        let way = |name, rate, memory| IoBound { name, rate, cpu: 0.1, memory };
        let (mib, kib) = (1 << 20, 1 << 10);
        let advice = |rates: [f64; 3]| {
            let ways = [
                way("threads", rates[0], mib),
                way("processes", rates[1], 64 * mib),
                way("async tasks", rates[2], 64 * kib),
            ];
            io_bound(10.0, &ways)
        };
        assert!(advice([900.0, 300.0, 950.0]).starts_with("use async tasks: 95 times"));
        assert!(
            advice([900.0, 300.0, 950.0]).contains("; threads: as fast, 16.0 times the memory")
        );
        assert!(advice([900.0, 300.0, 950.0]).contains("; processes: 0.32 of that, 1024.0 times"));
        assert!(advice([900.0, 300.0, 400.0]).starts_with("use threads: 90 times"));
        assert!(advice([100.0, 900.0, 100.0]).starts_with("use processes: 90 times"));
        assert!(advice([10.0, 9.0, 11.0]).starts_with("do it one after the other"));
    }

    #[test]
    fn a_statement_holds_where_the_figures_say_so() {
        assert_eq!(gains_nothing(2, &[("a", 1.0), ("b", 1.9), ("c", 1.1)]), "a, c; not b");
        assert_eq!(gains_nothing(2, &[("a", 1.8), ("b", 1.9)]), "nobody here; not a, b");
        assert_eq!(gains_nothing(2, &[("a", 1.0)]), "a: all that were measured");
        assert_eq!(
            gains_nothing(1, &[("a", 1.0), ("b", 1.0)]),
            "one core: this machine cannot show it"
        );
    }
}
