//! What the programs that measure have left.
//!
//! Criterion writes `criterion/GROUP/FUNCTION/new/{benchmark,sample}.json` into the target folder.
//! What is not a time, or not measured by criterion (memory, Python, curves), is written as one
//! file a question into `report/` beside it. What was measured in rounds is in `report/rounds/`,
//! and counts before what one run of a benchmark left.

use crate::{
    files::{entries, read_json, target, write_json},
    rounds::{self, Round, Rounds},
    sample::Sample,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, io, path::Path, time::SystemTime};

/// All that was measured, by `QUESTION/WAY`: `lock/fine_mutex`, `message/number/queue`,
/// `python/lock/fine`.
#[derive(Clone, Debug, Default)]
pub struct Results {
    samples: BTreeMap<String, Sample>,
    /// Why something is not among them, by its name: `python/switch/greenlet` → `greenlet is not
    /// installed`.
    missing: BTreeMap<String, String>,
    /// When the first and the last of them was measured.
    pub measured: Option<(SystemTime, SystemTime)>,
    /// What was measured in rounds, by question.
    rounds: BTreeMap<String, Rounds>,
}

impl Results {
    /// What stands in the target folder `folder`: [`target`] is that of this program.
    ///
    /// # Errors
    ///
    /// If a file can be found but not be read, or is no JSON of the expected form; the file is
    /// named.
    pub fn read(folder: &Path) -> io::Result<Results> {
        let mut results = Results { rounds: rounds::read(folder)?, ..Results::default() };
        results.read_criterion(&folder.join("criterion"))?;
        for path in entries(&folder.join("report"))? {
            if path.extension().is_some_and(|e| e == "json") && !path.ends_with(crate::curves::FILE)
            {
                let record: Record = read_json(&path)?;
                results.seen(fs::metadata(&path)?.modified()?);
                results.samples.extend(record.samples);
                results.missing.extend(record.missing);
            }
        }
        results.take_rounds();
        Ok(results)
    }

    /// What was measured in rounds takes the place of what a single run left.
    fn take_rounds(&mut self) {
        for rounds in self.rounds.values() {
            let mut pooled: BTreeMap<String, Sample> = BTreeMap::new();
            for round in rounds.counted() {
                for (name, sample) in &round.samples {
                    let empty = Sample { unit: sample.unit, values: Vec::new() };
                    pooled.entry(name.clone()).or_insert(empty).values.extend(&sample.values);
                }
                self.missing.extend(round.missing.clone());
            }
            self.samples.extend(pooled);
        }
        let times: Vec<_> =
            self.rounds.values().flat_map(|rounds| [rounds.began, rounds.ended]).collect();
        times.into_iter().for_each(|when| self.seen(when));
    }

    /// What was measured in rounds, by question.
    pub fn rounds(&self) -> &BTreeMap<String, Rounds> {
        &self.rounds
    }

    /// The rounds that count in which `name` was measured.
    pub fn rounds_of(&self, name: &str) -> Option<&Rounds> {
        let has = |rounds: &&Rounds| {
            rounds.counted().next().is_some_and(|round| round.samples.contains_key(name))
        };
        self.rounds.values().find(has)
    }

    /// All of it as one round.
    pub fn into_round(self) -> Round {
        Round { samples: self.samples, missing: self.missing, noise: None }
    }

    /// The sample of `name`, if it was measured.
    pub fn get(&self, name: &str) -> Option<&Sample> {
        self.samples.get(name)
    }

    /// Why there is no sample of `name`, if that is known.
    pub fn why_missing(&self, name: &str) -> Option<&str> {
        let mut name = name;
        loop {
            if let Some(why) = self.missing.get(name) {
                return Some(why);
            }
            name = name.rsplit_once('/')?.0;
        }
    }

    /// What begins with `prefix`, without it, in order.
    pub fn below(&self, prefix: &str) -> Vec<(&str, &Sample)> {
        let all = self.samples.iter();
        all.filter_map(|(name, sample)| Some((name.strip_prefix(prefix)?, sample))).collect()
    }

    /// Adds a sample: for tests, and for what was just measured.
    pub fn insert(&mut self, name: impl Into<String>, sample: Sample) {
        self.samples.insert(name.into(), sample);
    }

    /// Says why `name`, and all below it, was not measured.
    pub fn miss(&mut self, name: impl Into<String>, why: impl Into<String>) {
        self.missing.insert(name.into(), why.into());
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// In the middle, how far the quartiles are apart as a share of the median: how noisy the
    /// machine was.
    pub fn typical_spread(&self) -> Option<f64> {
        let spreads: Vec<f64> = self.samples.values().map(Sample::spread).collect();
        (!spreads.is_empty()).then(|| Sample::seconds(spreads).median())
    }

    fn seen(&mut self, when: SystemTime) {
        let (first, last) = self.measured.unwrap_or((when, when));
        self.measured = Some((first.min(when), last.max(when)));
    }

    fn read_criterion(&mut self, folder: &Path) -> io::Result<()> {
        for path in entries(folder)? {
            if !path.is_dir() {
                continue;
            }
            let benchmark = path.join("new/benchmark.json");
            if benchmark.exists() {
                let is: Benchmark = read_json(&benchmark)?;
                if self.rounds_of(&is.full_id).is_some() {
                    continue;
                }
                let sample: RawSample = read_json(&path.join("new/sample.json"))?;
                let elements = is.throughput.map_or(1.0, |t| t.elements());
                let each = sample.times.iter().zip(&sample.iters);
                let seconds = each.map(|(time, iters)| time / iters / elements / 1e9);
                self.seen(fs::metadata(&benchmark)?.modified()?);
                self.insert(is.full_id, Sample::seconds(seconds));
            } else {
                self.read_criterion(&path)?;
            }
        }
        Ok(())
    }
}

/// Criterion's `benchmark.json`.
#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
    throughput: Option<Throughput>,
}

/// How many elements one iteration handles. Bytes are not elements: a message of a mebibyte is one
/// message.
#[derive(Clone, Copy, Deserialize)]
enum Throughput {
    Elements(u64),
    ElementsAndBytes {
        elements: u64,
    },
    #[serde(untagged)]
    Bytes(serde::de::IgnoredAny),
}

impl Throughput {
    fn elements(self) -> f64 {
        match self {
            Throughput::Elements(n) | Throughput::ElementsAndBytes { elements: n } => n as f64,
            Throughput::Bytes(_) => 1.0,
        }
    }
}

/// Criterion's `sample.json`: nanoseconds for so many iterations.
#[derive(Deserialize)]
struct RawSample {
    iters: Vec<f64>,
    times: Vec<f64>,
}

/// One file in `report/`: what a measuring program of this package found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// By full name.
    pub samples: BTreeMap<String, Sample>,
    /// What could not be measured, and why, by full name or by the part of it before a `/`.
    #[serde(default)]
    pub missing: BTreeMap<String, String>,
}

impl Record {
    /// Writes `report/NAME.json` into the target folder of this program.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, name: &str) -> io::Result<()> {
        write_json(&target().join("report").join(format!("{name}.json")), self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Unit;
    use std::env;

    /// The files as criterion 0.8 writes them.
    #[test]
    fn criterions_files_are_read_for_one_element() {
        let folder = env::temp_dir().join(format!("benches-results-{}", std::process::id()));
        let new = folder.join("criterion/lock/fine/new");
        fs::create_dir_all(&new).unwrap();
        let benchmark = r#"{"group_id":"lock","function_id":"fine","value_str":null,
            "throughput":{"Elements":1000},"full_id":"lock/fine","directory_name":"lock/fine","title":"lock/fine"}"#;
        fs::write(new.join("benchmark.json"), benchmark).unwrap();
        let sample =
            r#"{"sampling_mode":"Linear","iters":[1.0,2.0],"times":[1000000.0,4000000.0]}"#;
        fs::write(new.join("sample.json"), sample).unwrap();
        let other = Record {
            samples: BTreeMap::from([(
                "memory/thread".into(),
                Sample { unit: Unit::Bytes, values: vec![9.0] },
            )]),
            missing: BTreeMap::from([("python/switch".into(), "greenlet is not installed".into())]),
        };
        write_json(&folder.join("report/memory.json"), &other).unwrap();
        let results = Results::read(&folder);
        fs::remove_dir_all(&folder).unwrap();
        let results = results.unwrap();
        assert_eq!(results.get("lock/fine"), Some(&Sample::seconds([1e-6, 2e-6])));
        assert_eq!(results.get("memory/thread").unwrap().median(), 9.0);
        assert_eq!(
            results.why_missing("python/switch/greenlet"),
            Some("greenlet is not installed")
        );
        assert_eq!(results.why_missing("python/lock"), None);
        assert!(results.measured.is_some());
    }

    #[test]
    fn bytes_are_not_elements() {
        for text in [r#"{"Bytes":1048576}"#, r#"{"BytesDecimal":8}"#] {
            assert_eq!(serde_json::from_str::<Throughput>(text).unwrap().elements(), 1.0, "{text}");
        }
        assert_eq!(
            serde_json::from_str::<Throughput>(r#"{"Elements":7}"#).unwrap().elements(),
            7.0
        );
    }

    #[test]
    fn no_folder_is_no_results() {
        assert!(Results::read(Path::new("/nowhere/at/all")).unwrap().is_empty());
    }
}
