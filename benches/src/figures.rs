//! The figures that the project's pages show. They are kept in `benches/figures.json`, and stand in
//! the pages between two marks; both are written by `cargo run --release -p benches --bin report --
//! --pages`, and a test fails when a page says something else than the file.

use crate::{
    claims::{Verdict, amount, ratio_of},
    files::{read_json, root, write_json, write_whole},
    language::{Language, digits},
    machine::Machine,
    page::{Report, markdown_table},
    questions::{QUESTIONS, Row},
    sample::Sample,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, io, path::PathBuf};

const BEGIN: &str = "<!-- figures: written by `report --pages` from benches/figures.json -->\n";
const END: &str = "<!-- end of figures -->\n";

/// The pages with figures, and the language each is in.
pub const PAGES: [(&str, Language); 3] = [
    ("README.md", Language::English),
    ("README.zh-CN.md", Language::Chinese),
    ("benches/README.md", Language::English),
];

/// What the pages show: rows by question and way.
const SHOWN: &[(&str, &[&str])] = &[
    ("start", &["process", "thread", "async_task"]),
    ("switch", &["threads_pinned", "threads_unpinned", "stackful"]),
    ("message/number", &["queue", "threads_mpsc", "async_channel"]),
    ("cpu_bound", &["serial", "threads", "processes", "async_one_thread"]),
    ("io_bound", &["serial", "threads", "processes", "async_one_thread"]),
    ("serve/keep_alive", &["process", "thread", "async", "epoll"]),
    ("memory", &["process", "thread", "async_task"]),
];

/// `benches/figures.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    machine: Machine,
    /// First quartile, median, third quartile, by full name.
    samples: BTreeMap<String, Sample>,
    /// With Python and with Rust, by claim.
    verdicts: BTreeMap<String, [String; 2]>,
}

fn file() -> PathBuf {
    root().join("benches/figures.json")
}

impl Figures {
    /// Those of a report that the pages show.
    pub fn of(report: &Report) -> Figures {
        let names = SHOWN
            .iter()
            .flat_map(|(question, ways)| ways.iter().map(move |way| format!("{question}/{way}")));
        let samples = names.filter_map(|name| {
            let sample = report.results.get(&name)?;
            let (low, high) = sample.quartiles();
            let values = [low, sample.median(), high].map(three_digits).to_vec();
            Some((name, Sample { unit: sample.unit, values }))
        });
        let verdict = |verdict: Verdict| verdict.text().en.to_owned();
        let verdicts = report.findings().into_iter().map(|(claim, python, rust)| {
            (claim.id.to_owned(), [verdict(python.verdict), verdict(rust.verdict)])
        });
        Figures {
            machine: report.machine.clone(),
            samples: samples.collect(),
            verdicts: verdicts.collect(),
        }
    }

    /// Those that are kept.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn kept() -> io::Result<Figures> {
        read_json(&file())
    }

    /// What stands in a page between the marks.
    pub fn block(&self, language: Language) -> String {
        let head = language.of(
            ["question", "way", "median", "quartiles", "times as much"],
            ["问题", "方式", "中位数", "四分位数", "倍数"],
        );
        let mut rows = Vec::new();
        for (name, ways) in SHOWN {
            let Some(question) = QUESTIONS.iter().find(|question| question.name == *name) else {
                continue;
            };
            let found: Vec<Row> = ways
                .iter()
                .filter_map(|way| {
                    Some(Row { way, sample: self.samples.get(&format!("{name}/{way}"))? })
                })
                .collect();
            let least =
                found.iter().map(|row| row.sample).min_by(|a, b| a.median().total_cmp(&b.median()));
            for (i, row) in found.iter().enumerate() {
                let times = least.map_or(1.0, |least| ratio_of(row.sample, least).1);
                let title = format!("{} (`{name}`)", language.say(question.title));
                rows.push(vec![
                    if i == 0 { title } else { String::new() },
                    row.label(language),
                    amount(row.sample, row.sample.median()),
                    format!(
                        "{}–{}",
                        amount(row.sample, row.sample.values[0]),
                        amount(row.sample, row.sample.values[2])
                    ),
                    if times == 1.0 { "1".into() } else { digits(times) },
                ]);
            }
        }
        let table = markdown_table(&head.map(String::from), &rows);
        let count = |of: usize, word: Verdict| {
            self.verdicts.values().filter(|verdicts| verdicts[of] == word.text().en).count()
        };
        let counts =
            |of| [Verdict::Holds, Verdict::DoesNotHold, Verdict::CannotTell].map(|v| count(of, v));
        let ([ph, pn, pc], [rh, rn, rc]) = (counts(0), counts(1));
        let all = self.verdicts.len();
        let claims = language.of(
            format!(
                "Of the notes' {all} measurable claims, {ph} hold with Python here, {pn} do not, {pc} cannot be told; with Rust {rh}, {rn} and {rc}."
            ),
            format!(
                "笔记中 {all} 条可测量的说法，在此用 Python 有 {ph} 条成立，{pn} 条不成立，{pc} 条无法判断；用 Rust 则为 {rh}、{rn}、{rc} 条。"
            ),
        );
        format!("\n{}\n\n{table}\n{claims}\n\n", self.machine.sentence(language))
    }

    /// Writes the file and the pages.
    ///
    /// # Errors
    ///
    /// If one cannot be written, or has no marks.
    pub fn write(&self) -> io::Result<()> {
        write_json(&file(), self)?;
        for (name, language) in PAGES {
            let path = root().join(name);
            let page = std::fs::read_to_string(&path)?;
            let (before, _, after) = split(&page).ok_or_else(|| {
                io::Error::other(format!("{name}: the marks of the figures are gone"))
            })?;
            write_whole(&path, &[before, BEGIN, &self.block(language), END, after].concat())?;
        }
        Ok(())
    }

    /// Whether every page says what is kept; if not, which one, and the first line that differs.
    ///
    /// # Errors
    ///
    /// The complaint.
    pub fn check(&self) -> Result<(), String> {
        for (name, language) in PAGES {
            let page =
                std::fs::read_to_string(root().join(name)).map_err(|e| format!("{name}: {e}"))?;
            differs(&page, &self.block(language)).map_err(|what| {
                format!("{name}: {what}\nThe figures are written by `cargo run --release -p benches --bin report -- --pages`, not by hand.")
            })?;
        }
        Ok(())
    }
}

/// A page before its figures, they, and after.
fn split(page: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (block, after) = rest.split_once(END)?;
    Some((before, block, after))
}

fn differs(page: &str, should: &str) -> Result<(), String> {
    let (_, is, _) = split(page).ok_or("the marks of the figures are gone")?;
    if is == should {
        return Ok(());
    }
    let pairs = is.lines().zip(should.lines()).find(|(is, should)| is != should);
    let (is, should) = pairs.unwrap_or(("another number of lines", ""));
    Err(format!("it says    {is}\nmeasured was {should}"))
}

/// No more digits than mean something.
fn three_digits(value: f64) -> f64 {
    format!("{value:.2e}").parse().expect("it was a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        Figures {
            machine: Machine::here(),
            samples: BTreeMap::from([
                ("start/thread".into(), Sample::seconds([1e-5, 2e-5, 3e-5])),
                ("start/process".into(), Sample::seconds([1e-3, 1e-3, 1e-3])),
            ]),
            verdicts: BTreeMap::from([("lock".into(), ["holds".into(), "does not hold".into()])]),
        }
    }

    #[test]
    fn a_page_edited_by_hand_is_found_out() {
        for language in crate::language::LANGUAGES {
            let block = figures().block(language);
            let page = ["# Title\n", BEGIN, &block, END, "more\n"].concat();
            assert_eq!(differs(&page, &block), Ok(()));
            let edited = page.replace("20 µs", "19 µs");
            assert_ne!(edited, page);
            assert!(differs(&edited, &block).unwrap_err().contains("19 µs"));
            assert!(differs("# Title\n", &block).is_err());
        }
    }

    #[test]
    fn ratios_are_to_the_least() {
        let block = figures().block(Language::English);
        assert!(block.contains("| process | 1.0 ms | 1.0 ms–1.0 ms | 50 |"), "{block}");
        assert!(block.contains("| thread | 20 µs | 10 µs–30 µs | 1 |"), "{block}");
    }

    #[test]
    fn a_figure_comes_back_from_its_json() {
        let text = serde_json::to_string(&figures()).unwrap();
        assert_eq!(serde_json::from_str::<Figures>(&text).unwrap(), figures());
        assert_eq!(three_digits(0.012345), 0.0123);
    }
}
