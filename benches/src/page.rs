//! The page: all that was found, as HTML that stands alone and as Markdown, in both languages.

use crate::{
    advice,
    chart::{self, escape},
    claims::{BUSY, CLAIMS, Claim, Finding, Measure, Verdict, Words, amount, ratio_of},
    curves::{Curves, Outcome, UNITS},
    language::{Language, digits, time},
    machine::Machine,
    questions::{self, QUESTIONS, Question},
    results::Results,
    rounds::{QUIET, Rounds},
    sample::Sample,
};
use std::{collections::BTreeMap, fmt::Write, time::SystemTime};

/// All that a page is made of.
#[derive(Debug)]
pub struct Report {
    /// Where it was measured.
    pub machine: Machine,
    /// What was measured.
    pub results: Results,
    /// The curves, by question.
    pub curves: BTreeMap<String, Curves>,
}

/// A piece of the page. Words may hold `code` between backticks and **bold** ones.
enum Block {
    Heading(usize, String),
    Words(String),
    List(Vec<String>),
    Table(Vec<String>, Vec<Vec<String>>),
    /// Only on the HTML page; Markdown has its table.
    Picture(String),
}

impl Report {
    /// What became of each claim: with Python, with Rust.
    pub fn findings(&self) -> Vec<(&'static Claim, Finding, Finding)> {
        let processors = self.machine.processors;
        let find = |claim: &'static Claim| {
            let python = claim.with_python(&self.results, processors);
            (claim, python, claim.with_rust(&self.results, processors))
        };
        CLAIMS.iter().map(find).collect()
    }

    /// The page as Markdown.
    pub fn markdown(&self, language: Language) -> String {
        self.blocks(language).iter().map(Block::markdown).collect()
    }

    /// The page as HTML that needs nothing else.
    pub fn html(&self, language: Language) -> String {
        let body: String = self.blocks(language).iter().map(Block::html).collect();
        let title = title(language);
        format!(
            "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, \
             initial-scale=1\">\n<title>{title}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
            language.tag(),
            include_str!("page.css")
        )
    }

    fn blocks(&self, language: Language) -> Vec<Block> {
        let mut blocks = vec![Block::Heading(1, title(language).into())];
        self.machine(language, &mut blocks);
        self.advice(language, &mut blocks);
        self.claims(language, &mut blocks);
        blocks.push(Block::Heading(2, language.of("Figures", "数据").into()));
        blocks.push(Block::Words(
            language
                .of(
                    "The median of each way, the quartiles (a quarter of the samples lies below the first, a quarter above the second), and how many times as long it \
                     takes as the way marked 1. The line over a bar reaches from quartile to quartile; the scale is logarithmic.",
                    "每种方式给出中位数、四分位数（四分之一的样本低于前者，四分之一高于后者），以及用时是标为 1 的方式的几倍。条形上的线从一个四分位数画到另一个；刻度是对数的。",
                )
                .into(),
        ));
        for question in QUESTIONS {
            self.question(question, language, &mut blocks);
        }
        self.growth(language, &mut blocks);
        blocks
    }

    fn machine(&self, language: Language, blocks: &mut Vec<Block>) {
        let machine = &self.machine;
        blocks.push(Block::Words(machine.sentence(language)));
        let governor = match (&machine.governor, machine.is_virtual) {
            (Some(governor), _) => language.of(
                format!("The frequency governor is `{governor}`."),
                format!("频率调节器是 `{governor}`。"),
            ),
            (None, true) => language
                .of(
                    "The frequency governor is not known: a virtual machine does not see it.",
                    "频率调节器未知：虚拟机看不到它。",
                )
                .into(),
            (None, false) => {
                language.of("The frequency governor is not known.", "频率调节器未知。").into()
            }
        };
        let noise = match self.results.typical_spread() {
            Some(spread) => {
                let percent = digits(spread * 100.0);
                language.of(
                    format!("Noise seen: the quartiles of half the samples are less than {percent} % of the median apart."),
                    format!("所见噪声：一半样本的四分位距小于中位数的 {percent} %。"),
                )
            }
            None => language.of("Nothing was measured yet.", "尚未测量。").into(),
        };
        blocks.push(Block::Words(format!("{governor} {noise}")));
        self.others(language, blocks);
        if let Some((first, last)) = self.results.measured {
            let hours = last.duration_since(first).unwrap_or_default().as_secs_f64() / 3600.0;
            let (from, to) = (date(first), date(last));
            let mut words = language.of(
                format!("Measured from {from} to {to} (UTC)."),
                format!("测量时间：{from} 至 {to}（UTC）。"),
            );
            if hours > 3.0 {
                words += &language.of(
                    format!(" **These are {hours:.0} hours: figures of different runs compare badly. Measure again with `scripts/bench`.**"),
                    format!("**跨度 {hours:.0} 小时：不同轮次的数据不宜比较。请用 `scripts/bench` 重新测量。**"),
                );
            }
            blocks.push(Block::Words(words));
        }
        let missing = questions::missing(&self.results);
        if !missing.is_empty() {
            let names =
                missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            blocks.push(Block::Words(language.of(
                format!("**Not measured**, so not on this page: {names}."),
                format!("**未测量**，因此不在本页：{names}。"),
            )));
        }
    }

    /// What else the processors had to do, and what that means for the figures.
    fn others(&self, language: Language, blocks: &mut Vec<Block>) {
        let all = self.results.rounds();
        if all.is_empty() {
            return;
        }
        let percent = |share: f64| digits(share * 100.0);
        let measured: usize = all.values().map(|rounds| rounds.rounds.len()).sum();
        let noisy = measured - all.values().map(Rounds::quiet).sum::<usize>();
        let quiet = QUIET * 100.0;
        let shares: Vec<f64> = all.values().filter_map(Rounds::noise).collect();
        if shares.is_empty() {
            blocks.push(Block::Words(
                language
                    .of(
                        "What other programs had of the processors is not known: this system does not say.",
                        "其他程序占用了多少处理器时间未知：本系统不提供。",
                    )
                    .into(),
            ));
            return;
        }
        let worst = percent(shares.iter().copied().fold(0.0, f64::max));
        blocks.push(Block::Words(language.of(
            format!(
                "Measured in {measured} rounds of a question each. In {noisy} of them other programs and other machines had more than {quiet} % of the processors; those were measured again, at most two \
                 times, and do not count where enough others are there. In what counts they had {worst} % at the most, by a question's median."
            ),
            format!(
                "共测量 {measured} 轮，每轮一个问题。其中 {noisy} 轮里，其他程序和其他虚拟机占用的处理器时间超过 {quiet} %；这些轮最多重测两次，只要另有足够的轮就不计入。在计入的轮中，按各问题的中位数，它们最多占用 {worst} %。"
            ),
        )));
        let busy: Vec<String> = all
            .iter()
            .filter(|(_, rounds)| rounds.is_busy())
            .map(|(question, rounds)| {
                let share = percent(rounds.noise().unwrap_or_default());
                language
                    .of(format!("`{question}` ({share} %)"), format!("`{question}`（{share} %）"))
            })
            .collect();
        if !busy.is_empty() {
            let names = busy.join(language.of(", ", "、"));
            blocks.push(Block::Words(language.of(
                format!("**The machine was busy**, all the time, while these were measured, so their figures are too long: {names}. Verdicts that rest on them have to be the same for a ratio {BUSY} times larger and smaller."),
                format!("**测量期间机器一直繁忙**，以下各项的用时偏长：{names}。依据它们的判断，须在比值放大和缩小 {BUSY} 倍时都不变。"),
            )));
        }
    }

    fn advice(&self, language: Language, blocks: &mut Vec<Block>) {
        blocks.push(Block::Heading(2, language.of("Use this when", "何时用什么").into()));
        let advice = advice::advice(&self.results);
        if advice.is_empty() {
            blocks.push(Block::Words(
                language.of("Too little was measured to say.", "测量太少，无从说起。").into(),
            ));
            return;
        }
        blocks.push(Block::Words(
            language
                .of(
                    "By the medians below; ways within 15 % of the fastest count as equal. What a way protects from, and what it is like to write, is not in a figure.",
                    "依据下面的中位数；与最快者相差 15 % 以内视为相同。一种方式能防住什么、写起来如何，不在数字里。",
                )
                .into(),
        ));
        blocks.push(Block::List(
            advice.iter().map(|advice| advice.text(language).to_owned()).collect(),
        ));
    }

    fn claims(&self, language: Language, blocks: &mut Vec<Block>) {
        let findings = self.findings();
        blocks.push(Block::Heading(2, language.of("The notes' claims", "笔记的说法").into()));
        let count = |verdicts: Vec<Verdict>| {
            let [holds, fails, unknown] = advice::count(verdicts.into_iter());
            language.of(
                format!("{holds} hold, {fails} do not, {unknown} cannot be told"),
                format!("{holds} 条成立，{fails} 条不成立，{unknown} 条无法判断"),
            )
        };
        let python = count(findings.iter().map(|(_, python, _)| python.verdict).collect());
        let rust = count(findings.iter().map(|(.., rust)| rust.verdict).collect());
        blocks.push(Block::Words(language.of(
            format!("Of {} claims with Python here, {python}; with Rust, {rust}.", findings.len()),
            format!("{} 条说法，在此用 Python：{python}；用 Rust：{rust}。", findings.len()),
        )));
        let head = language
            .of(["claim", "Python here", "Rust here"], ["说法", "这里的 Python", "这里的 Rust"]);
        let verdict = |finding: &Finding| {
            let word = language.say(finding.verdict.text());
            format!("**{word}**: {}", finding.found(language))
        };
        let rows = findings.iter().map(|(claim, python, rust)| {
            let claim_ = format!("{} ({})", language.say(claim.claim), claim.section);
            vec![claim_, verdict(python), verdict(rust)]
        });
        blocks.push(Block::Table(head.map(String::from).to_vec(), rows.collect()));
        blocks.push(Block::Words(
            language
                .of(
                    "The rule, for two ways compared: both are measured in each round, one after the other, and a round's ratio is that of the best sample of each, for what disturbs only ever makes \
                     a sample longer. The median of the rounds' ratios decides, and their quartiles (in parentheses) must not contradict. What a claim asks for and what refutes it stand apart; \
                     between them it *cannot be told here*. On a machine that was busy in most rounds, the verdict must be the same for a ratio three times larger and three times smaller; otherwise it *cannot be \
                     told here* either. So noise can take a verdict away, but not turn it round. Each row's words and bounds:",
                    "两种方式相比的规则：每一轮中先后测量两者，一轮的比值取两者各自最好的样本之比，因为干扰只会使样本变长。由各轮比值的中位数决定，且其四分位数（括号内）不得相反。成立与不成立的界限之间留有间隔，\
                     落在其中即*在此无法判断*。若多数轮中机器繁忙，则判断须在比值放大和缩小三倍时都不变，否则同样*在此无法判断*。所以噪声可以使判断消失，但不能使它反转。每条的原文与界限：",
                )
                .into(),
        ));
        let head = language.of(
            ["claim", "the notes' words", "rule, Python", "rule, Rust"],
            ["说法", "笔记原文", "规则，Python", "规则，Rust"],
        );
        let rows = CLAIMS.iter().map(|claim| {
            let words = match claim.words {
                Words::Quoted(words) => {
                    language.of(format!("“{}” ({})", words.zh, words.en), format!("“{}”", words.zh))
                }
                Words::Case(case, words) => language.of(
                    format!("in substance: {} (`{case}`)", words.en),
                    format!("大意：{}（`{case}`）", words.zh),
                ),
            };
            let rule = |measure: &Measure| measure.rule(claim.denies, language);
            vec![
                format!("{} ({})", language.of(claim.id, claim.claim.zh), claim.section),
                words,
                rule(&claim.python),
                rule(&claim.rust),
            ]
        });
        blocks.push(Block::Table(head.map(String::from).to_vec(), rows.collect()));
    }

    fn question(&self, question: &Question, language: Language, blocks: &mut Vec<Block>) {
        let rows = question.rows(&self.results);
        let Some(fastest) = rows.first() else { return };
        let baseline = rows.iter().find(|row| row.way == question.baseline).unwrap_or(fastest);
        let title = language.say(question.title);
        blocks.push(Block::Heading(3, format!("{title} (`{}`)", question.name)));
        let one = language.say(question.one);
        blocks.push(Block::Picture(chart::bars(title, &rows, language)));
        let head = language.of(
            ["way", "", "quartiles", "a second", "times as much"],
            ["方式", "", "四分位数", "每秒", "倍数"],
        );
        let mut head = head.map(String::from).to_vec();
        head[1] = one.into();
        let table = rows.iter().map(|row| {
            let (low, high) = row.sample.quartiles();
            let rate = match row.sample.unit {
                crate::sample::Unit::Seconds => digits(1.0 / row.sample.median()),
                _ => "–".into(),
            };
            vec![
                row.label(language),
                amount(row.sample, row.sample.median()),
                format!("{}–{}", amount(row.sample, low), amount(row.sample, high)),
                rate,
                if row.way == baseline.way {
                    "1".into()
                } else {
                    digits(ratio_of(row.sample, baseline.sample).1)
                },
            ]
        });
        blocks.push(Block::Table(head, table.collect()));
    }

    fn growth(&self, language: Language, blocks: &mut Vec<Block>) {
        blocks.push(Block::Heading(2, language.of("Growth", "规模增长").into()));
        let missing: Vec<&str> = UNITS
            .iter()
            .map(|(question, _)| *question)
            .filter(|question| !self.curves.contains_key(*question))
            .collect();
        if !missing.is_empty() {
            let names =
                missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            blocks.push(Block::Words(language.of(
                format!("**Not measured** as a curve: {names}."),
                format!("**未测量**曲线：{names}。"),
            )));
        }
        for (question, units) in UNITS {
            let Some(curves) = self.curves.get(*question) else { continue };
            let units = language.say(*units);
            blocks.push(Block::Heading(3, format!("`{question}`: {units}")));
            blocks.push(Block::Picture(chart::curves(question, curves, language)));
            let mut steps: Vec<u64> = curves.values().flatten().map(|point| point.units).collect();
            steps.sort_unstable();
            steps.dedup();
            let mut head = vec![language.of("way", "方式").to_owned()];
            head.extend(steps.iter().map(|units| digits(*units as f64).replace(".0", "")));
            let mut ends = Vec::new();
            let rows = curves.iter().map(|(way, points)| {
                let label = questions::Row { way, sample: &Sample::seconds([]) }.label(language);
                let mut cells = vec![label.clone()];
                for step in &steps {
                    let point = points.iter().find(|point| point.units == *step);
                    cells.push(match point.map(|point| &point.outcome) {
                        Some(Outcome::Took(times)) => {
                            let all = Sample::seconds(times.iter().copied()).median();
                            time(all / *step as f64)
                        }
                        Some(Outcome::Broke([english, chinese])) => {
                            ends.push(language.of(
                                format!("{label} broke at {step}: {english}"),
                                format!("{label}在 {step} 个时崩溃：{chinese}"),
                            ));
                            language.of("broke", "崩溃").into()
                        }
                        Some(Outcome::NotTried([english, chinese])) => {
                            ends.push(language.of(
                                format!("{label} was left at {step}: {english}"),
                                format!("{label}在 {step} 个时放弃：{chinese}"),
                            ));
                            language.of("left", "放弃").into()
                        }
                        None => "–".into(),
                    });
                }
                cells
            });
            let rows: Vec<_> = rows.collect();
            blocks.push(Block::Words(
                language.of("Time for one of so many:", "这么多个当中每一个的用时：").into(),
            ));
            blocks.push(Block::Table(head, rows));
            let most = steps.last().copied().unwrap_or(0);
            if ends.is_empty() {
                ends.push(language.of(
                    format!("None of them broke up to {most}."),
                    format!("直到 {most} 个都没有崩溃。"),
                ));
            }
            blocks.push(Block::List(ends));
        }
    }
}

impl Machine {
    /// This machine in a sentence.
    pub fn sentence(&self, language: Language) -> String {
        let Machine { processors, model, gibibytes, kernel, compiler, python, .. } = self;
        let is_virtual = if self.is_virtual {
            language.of(" of a virtual machine", "（虚拟机）")
        } else {
            ""
        };
        language.of(
            format!("{processors} processors{is_virtual} ({model}), {gibibytes} GiB, {kernel}, {compiler}, {python}."),
            format!("{processors} 个处理器{is_virtual}（{model}），{gibibytes} GiB 内存，{kernel}，{compiler}，{}。", crate::python::in_chinese(python)),
        )
    }
}

fn title(language: Language) -> &'static str {
    language.of("What threads, processes and async cost here", "线程、进程与异步在这里的开销")
}

/// `2026-11-24 10:05`, in UTC, by the civil-from-days algorithm (Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms").
fn date(when: SystemTime) -> String {
    let seconds = when.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let days = (seconds / 86400) as i64 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (seconds % 86400 / 3600, seconds % 3600 / 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

/// A table in Markdown.
pub fn markdown_table(head: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule = format!("| {} |\n", vec!["---"; head.len()].join(" | "));
    line(head) + &rule + &rows.iter().map(|row| line(row)).collect::<String>()
}

impl Block {
    fn markdown(&self) -> String {
        match self {
            Block::Heading(level, words) => format!("{} {words}\n\n", "#".repeat(*level)),
            Block::Words(words) => format!("{words}\n\n"),
            Block::List(items) => {
                items.iter().map(|item| format!("- {item}\n")).collect::<String>() + "\n"
            }
            Block::Table(head, rows) => markdown_table(head, rows) + "\n",
            Block::Picture(_) => String::new(),
        }
    }

    fn html(&self) -> String {
        match self {
            Block::Heading(level, words) => format!("<h{level}>{}</h{level}>\n", inline(words)),
            Block::Words(words) => format!("<p>{}</p>\n", inline(words)),
            Block::List(items) => {
                let items: String =
                    items.iter().map(|item| format!("<li>{}</li>\n", inline(item))).collect();
                format!("<ul>\n{items}</ul>\n")
            }
            Block::Table(head, rows) => {
                let mut html = String::from("<div class=\"table\"><table>\n<thead><tr>");
                head.iter().for_each(|cell| _ = write!(html, "<th>{}</th>", inline(cell)));
                html += "</tr></thead>\n<tbody>\n";
                for row in rows {
                    html += "<tr>";
                    for (name, cell) in head.iter().zip(row) {
                        // Long words wrap, figures do not.
                        let class = if cell.chars().count() > 26 { "words" } else { "figure" };
                        let name = escape(&name.replace('`', ""));
                        _ = write!(
                            html,
                            "<td class=\"{class}\" data-name=\"{name}\">{}</td>",
                            inline(cell)
                        );
                    }
                    html += "</tr>\n";
                }
                html + "</tbody>\n</table></div>\n"
            }
            Block::Picture(svg) if svg.is_empty() => String::new(),
            Block::Picture(svg) => format!("<figure>{svg}</figure>\n"),
        }
    }
}

/// Words with `code`, **bold** and *slanted* ones, as HTML.
fn inline(words: &str) -> String {
    let mut html = String::new();
    for (i, part) in words.split('`').enumerate() {
        // A range stays together, a name may be parted behind a slash.
        let part = escape(part).replace('–', "\u{2060}–\u{2060}");
        if i % 2 == 1 {
            html += &format!("<code>{}</code>", part.replace('/', "/<wbr>"));
            continue;
        }
        for (j, bold) in part.split("**").enumerate() {
            let slanted: String = bold
                .split('*')
                .enumerate()
                .map(
                    |(k, words)| {
                        if k % 2 == 1 { format!("<em>{words}</em>") } else { words.into() }
                    },
                )
                .collect();
            html += &if j % 2 == 1 { format!("<b>{slanted}</b>") } else { slanted };
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{curves::Point, language::LANGUAGES};
    use std::time::Duration;

    fn report() -> Report {
        let mut results = Results::default();
        for (way, seconds) in [("serial", 2.0), ("threads", 1.0), ("processes", 1.1)] {
            results.insert(format!("cpu_bound/{way}"), Sample::seconds([seconds; 3]));
        }
        results.miss("python", "no python3");
        let machine = Machine {
            processors: 2,
            model: "A <Processor>".into(),
            is_virtual: true,
            gibibytes: 4,
            kernel: "Linux 6.1".into(),
            compiler: "rustc 1.95.0".into(),
            python: "no python3".into(),
            governor: None,
        };
        let broke = Outcome::Broke(["Too many open files".into(), "打开的文件过多".into()]);
        let points = vec![
            Point { units: 1, outcome: Outcome::Took(vec![0.001]) },
            Point { units: 10, outcome: broke },
        ];
        let curves = Curves::from([("process".into(), points)]);
        Report { machine, results, curves: BTreeMap::from([("start".into(), curves)]) }
    }

    #[test]
    fn a_page_says_what_was_found_what_is_missing_and_where_it_broke() {
        let page = report().markdown(Language::English);
        for words in [
            "2 processors of a virtual machine (A <Processor>)",
            "does not hold**: 2.0 s / 1.0 s = 2.0 × (2.0–2.0)",
            "not measured: no python3",
            "Not measured**, so not on this page: `start`, `switch`",
            "process broke at 10: Too many open files",
            "When the work keeps processors busy: threads or pool of processes",
        ] {
            assert!(page.contains(words), "{words}\n{page}");
        }
    }

    #[test]
    fn the_html_stands_alone_and_is_closed() {
        for language in LANGUAGES {
            let html = report().html(language);
            for forbidden in ["<script", "http://", "https://", "<link", "A <Processor>", "NaN"] {
                assert!(!html.contains(forbidden), "{forbidden}");
            }
            for tag in ["table", "tr", "td", "p", "ul", "li", "svg", "g", "text", "b", "code"] {
                let opened = html.matches(&format!("<{tag}>")).count()
                    + html.matches(&format!("<{tag} ")).count();
                assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
            }
        }
    }

    #[test]
    fn dates() {
        let day =
            |days: u64| date(SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86400 + 3660));
        assert_eq!(day(0), "1970-01-01 01:01");
        assert_eq!(day(19_782), "2024-02-29 01:01");
        assert_eq!(day(20_454), "2026-01-01 01:01");
    }

    #[test]
    fn words_become_html() {
        assert_eq!(inline("a `<b>` **c** *d*"), "a <code>&lt;b&gt;</code> <b>c</b> <em>d</em>");
    }
}
