//! Measuring in rounds: what a question's ways cost is measured again and again, minutes apart, so
//! that drift and bursts of other work hit the ways of one round alike and not all rounds; and what
//! the processors did beside is watched.
//!
//! One file a question stands in `report/rounds/` of the target folder, written by the bin
//! `measure`.

use crate::{
    files::{entries, read_json, write_json},
    sample::Sample,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::Path,
    time::{Duration, Instant, SystemTime},
};
use util::measure::cost;

/// The folder of them, below `report/`.
pub const FOLDER: &str = "rounds";

/// A round in which others had more than this share of the processors' time is measured again.
pub const QUIET: f64 = 0.05;

/// What others had of the processors that this program may use, as shares of their time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// By the hypervisor, for other machines.
    pub stolen: f64,
    /// By other programs of this machine.
    pub others: f64,
}

impl Noise {
    /// Whether figures measured meanwhile count.
    pub fn is_quiet(&self) -> bool {
        self.total() <= QUIET
    }

    /// What was not to be had.
    pub fn total(&self) -> f64 {
        self.stolen + self.others
    }
}

/// All ways of a question, measured once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Round {
    /// By full name.
    pub samples: BTreeMap<String, Sample>,
    /// What could not be measured, and why.
    pub missing: BTreeMap<String, String>,
    /// `None` if the system does not say.
    pub noise: Option<Noise>,
}

/// What was measured of one question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rounds {
    /// So many quiet ones were asked for.
    pub wanted: usize,
    /// When the first one began.
    pub began: SystemTime,
    /// When the last one was over.
    pub ended: SystemTime,
    /// Quiet or not, in order.
    pub rounds: Vec<Round>,
}

impl Rounds {
    /// None yet.
    pub fn new(wanted: usize) -> Rounds {
        let now = SystemTime::now();
        Rounds { wanted, began: now, ended: now, rounds: Vec::new() }
    }

    /// One more, that has just ended.
    pub fn push(&mut self, round: Round) {
        self.rounds.push(round);
        self.ended = SystemTime::now();
    }

    /// How many were quiet, as far as the system says.
    pub fn quiet(&self) -> usize {
        self.rounds.iter().filter(|round| round.is_quiet()).count()
    }

    /// Whether no more than half as many were quiet as were wanted: then all count, for want of
    /// better ones, and verdicts take it into account.
    pub fn is_busy(&self) -> bool {
        2 * self.quiet() <= self.wanted
    }

    /// Those that count.
    pub fn counted(&self) -> impl Iterator<Item = &Round> {
        let all = self.is_busy();
        self.rounds.iter().filter(move |round| all || round.is_quiet())
    }

    /// What others had of the processors in the rounds that count, in the middle.
    pub fn noise(&self) -> Option<f64> {
        let shares: Vec<f64> =
            self.counted().filter_map(|round| round.noise).map(|noise| noise.total()).collect();
        (!shares.is_empty()).then(|| Sample::seconds(shares).median())
    }
}

impl Round {
    fn is_quiet(&self) -> bool {
        self.noise.is_none_or(|noise| noise.is_quiet())
    }
}

/// All of them, by question; none if the folder is not there.
///
/// # Errors
///
/// If a file cannot be read.
pub fn read(target: &Path) -> io::Result<BTreeMap<String, Rounds>> {
    let folder = target.join("report").join(FOLDER);
    let mut all = BTreeMap::new();
    for path in entries(&folder)? {
        if path.extension().is_some_and(|e| e == "json")
            && let Some(question) = path.file_stem().and_then(|name| name.to_str())
        {
            all.insert(question.to_owned(), read_json(&path)?);
        }
    }
    Ok(all)
}

/// Writes those of one question.
///
/// # Errors
///
/// If it cannot be written.
pub fn write(target: &Path, question: &str, rounds: &Rounds) -> io::Result<()> {
    let folder = target.join("report").join(FOLDER);
    write_json(&folder.join(format!("{question}.json")), rounds)
}

/// Runs `work`, which waits for all that it starts, and says what others had of the processors
/// meanwhile, and how long it took.
pub fn watch<T>(work: impl FnOnce() -> T) -> (T, Option<Noise>, Duration) {
    let before = Processors::now();
    let began = Instant::now();
    let (result, own) = cost(work);
    let took = began.elapsed();
    let noise = before.zip(Processors::now()).and_then(|(before, after)| {
        let all = took.as_secs_f64() * after.count as f64;
        let others = after.busy - before.busy - own.cpu.as_secs_f64();
        let share = |seconds: f64| (seconds / all).clamp(0.0, 1.0);
        (all > 0.0 && after.busy > 0.0)
            .then(|| Noise { stolen: share(after.stolen - before.stolen), others: share(others) })
    });
    (result, noise, took)
}

/// What the processors that this program may use have done since the machine started, in seconds.
#[derive(Debug, PartialEq)]
struct Processors {
    count: usize,
    /// For programs and the kernel on their behalf; not for interrupts, which are ours as often as
    /// not.
    busy: f64,
    stolen: f64,
}

impl Processors {
    fn now() -> Option<Processors> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        Processors::of(&fs::read_to_string("/proc/stat").ok()?, &list(allowed.trim())?)
    }

    /// By the text of `/proc/stat`; see proc_stat(5).
    fn of(text: &str, allowed: &[usize]) -> Option<Processors> {
        const TICK: f64 = 0.01; // the kernel's unit towards programs, whatever its own
        let mut sum = Processors { count: 0, busy: 0.0, stolen: 0.0 };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let name = words.next().and_then(|word| word.strip_prefix("cpu"));
            let Some(number) = name.and_then(|number| number.parse::<usize>().ok()) else {
                continue;
            };
            if allowed.contains(&number) {
                let ticks: Vec<f64> = words.map(str::parse).collect::<Result<_, _>>().ok()?;
                sum.count += 1;
                sum.busy += ticks.iter().take(3).sum::<f64>() * TICK; // user, nice, system
                sum.stolen += ticks.get(7)? * TICK;
            }
        }
        (sum.count > 0).then_some(sum)
    }
}

/// `0-2,5` as numbers.
fn list(text: &str) -> Option<Vec<usize>> {
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        numbers.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_that_are_not_ours_do_not_count() {
        let text = "cpu  400 0 0 0 0 0 0 0 0 0\ncpu0 100 20 30 9 9 9 9 50 0 0\ncpu1 300 0 0 0 0 0 0 0 0 0\nintr 1 2 3\n";
        let of = |allowed: &[usize]| Processors::of(text, allowed);
        assert_eq!(of(&[0]), Some(Processors { count: 1, busy: 1.5, stolen: 0.5 }));
        assert_eq!(of(&[0, 1]).unwrap().busy, 4.5);
        assert_eq!(of(&[7]), None);
        assert_eq!(list("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(list("3"), Some(vec![3]));
    }

    fn rounds(wanted: usize, others: &[f64]) -> Rounds {
        let round =
            |&others| Round { noise: Some(Noise { stolen: 0.0, others }), ..Round::default() };
        Rounds { rounds: others.iter().map(round).collect(), ..Rounds::new(wanted) }
    }

    #[test]
    fn noisy_rounds_do_not_count_unless_there_are_no_others() {
        let mostly_quiet = rounds(3, &[0.0, 0.4, 0.01]);
        assert!(!mostly_quiet.is_busy());
        assert_eq!(mostly_quiet.counted().count(), 2);
        let mostly_noisy = rounds(3, &[0.0, 0.4, 0.3]);
        assert!(mostly_noisy.is_busy());
        assert_eq!(mostly_noisy.counted().count(), 3);
        assert_eq!(mostly_noisy.noise(), Some(0.3));
    }
}
