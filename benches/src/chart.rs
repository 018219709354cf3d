//! Pictures, as SVG inside the page: bars with their spread, and curves, both on a logarithmic
//! scale.
//!
//! Colors are classes of the page's style, so that one picture serves light and dark; every mark
//! has its words beside it, so that it reads in print and without colors. A picture is 440 units
//! wide, which a narrow screen shows one to one.

use crate::{
    claims::amount,
    curves::{Curves, Outcome},
    language::{Language, digits},
    questions::Row,
};
use std::fmt::Write;

const WIDTH: f64 = 440.0;

/// Where a value is between `from` and `to`, on a logarithmic scale: 0 to 1.
fn place(value: f64, from: f64, to: f64) -> f64 {
    if to <= from {
        return 0.5;
    }
    ((value.max(f64::MIN_POSITIVE) / from).ln() / (to / from).ln()).clamp(0.0, 1.0)
}

/// Powers of ten that enclose these values.
fn decades(values: impl Iterator<Item = f64> + Clone) -> Option<(f64, f64)> {
    let positive = values.filter(|value| *value > 0.0 && value.is_finite());
    let low = positive.clone().fold(f64::INFINITY, f64::min);
    let high = positive.fold(0.0, f64::max);
    let (from, to) = (10_f64.powf(low.log10().floor()), 10_f64.powf(high.log10().ceil()));
    (low.is_finite()).then_some((from, if to > from { to } else { from * 10.0 }))
}

/// The text of an SVG or HTML element.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A bar a row, the shortest first, with its median in words and a line over its quartiles.
pub fn bars(title: &str, rows: &[Row], language: Language) -> String {
    let all = rows.iter().flat_map(|row| {
        let (low, high) = row.sample.quartiles();
        [low, row.sample.median(), high]
    });
    let Some((from, to)) = decades(all) else { return String::new() };
    let height = 36.0 * rows.len() as f64 + 4.0;
    let mut svg = open(title, height);
    for (i, row) in rows.iter().enumerate() {
        let y = 36.0 * i as f64 + 13.0;
        let median = row.sample.median();
        let (low, high) = row.sample.quartiles();
        let x = |value: f64| 4.0 + (WIDTH - 100.0) * (0.02 + 0.98 * place(value, from, to));
        let kind = kind(row.way);
        let label = escape(&row.label(language).replace('`', ""));
        let value = escape(&amount(row.sample, median));
        _ = write!(
            svg,
            r#"<text x="4" y="{y}">{label}</text><rect class="{kind}" x="4" y="{}" width="{:.1}" height="11" rx="2"/>"#,
            y + 5.0,
            x(median) - 4.0
        );
        _ = write!(
            svg,
            r#"<path class="spread" d="M{:.1} {}H{:.1}"/><text class="value" x="{:.1}" y="{}">{value}</text>"#,
            x(low),
            y + 10.5,
            x(high),
            x(high.max(median)) + 6.0,
            y + 15.0
        );
    }
    svg + "</svg>"
}

/// What kind of thing a way is, by its name: a class of the page's style.
pub fn kind(way: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| way.contains(word));
    if has(&["async", "tokio", "task", "stackful", "generator", "symmetric", "coroutine"]) {
        "async"
    } else if has(&["process", "program", "queue", "pipe", "ipc", "ring", "prefork"])
        && !way.starts_with("thread")
    {
        "process"
    } else if has(&[
        "thread", "mutex", "atomic", "parking", "rayon", "mpsc", "pool", "coarse", "fine",
    ]) {
        "thread"
    } else if ["map", "map_one_by_one", "apply"].contains(&way) {
        "process"
    } else {
        "other"
    }
}

/// The curves of one question: units from left to right, units a second from below. A cross is
/// where it broke.
pub fn curves(title: &str, curves: &Curves, language: Language) -> String {
    const LEFT: f64 = 52.0;
    const TOP: f64 = 24.0;
    const HEIGHT: f64 = 210.0;
    let rate = |units: u64, times: &[f64]| {
        units as f64 / crate::sample::Sample::seconds(times.iter().copied()).median()
    };
    let points = curves.values().flatten();
    let rates = points.clone().filter_map(|point| match &point.outcome {
        Outcome::Took(times) => Some(rate(point.units, times)),
        _ => None,
    });
    let Some((from, to)) = decades(rates) else { return String::new() };
    let most = points.map(|point| point.units).max().unwrap_or(1).max(10) as f64;
    let x = |units: u64| LEFT + (WIDTH - LEFT - 14.0) * place(units as f64, 1.0, most);
    let y = |rate: f64| TOP + HEIGHT * (1.0 - place(rate, from, to));
    let legend = curves.len() as f64 * 18.0;
    let mut svg = open(title, TOP + HEIGHT + 44.0 + legend);
    let a_second = language.of("a second", "每秒");
    _ = write!(svg, r#"<text x="4" y="12">{a_second}</text>"#);
    let mut tick = from;
    while tick <= to * 1.01 {
        _ = write!(
            svg,
            r#"<path class="grid" d="M{LEFT} {0:.1}H{1}"/><text class="axis" x="{2}" y="{3:.1}" text-anchor="end">{4}</text>"#,
            y(tick),
            WIDTH - 8.0,
            LEFT - 5.0,
            y(tick) + 4.0,
            short(tick)
        );
        tick *= 10.0;
    }
    let mut units = 1;
    while units as f64 <= most {
        _ = write!(
            svg,
            r#"<text class="axis" x="{:.1}" y="{}" text-anchor="middle">{}</text>"#,
            x(units),
            TOP + HEIGHT + 18.0,
            short(units as f64)
        );
        units *= 10;
    }
    for (i, (way, points)) in curves.iter().enumerate() {
        let (mut path, mut marks, mut last) = (String::new(), String::new(), None);
        for point in points {
            match &point.outcome {
                Outcome::Took(times) => {
                    let at = (x(point.units), y(rate(point.units, times)));
                    _ = write!(
                        path,
                        "{}{:.1} {:.1}",
                        if path.is_empty() { "M" } else { "L" },
                        at.0,
                        at.1
                    );
                    marks += &mark(i, at);
                    last = Some(at.1);
                }
                Outcome::Broke(_) => {
                    let at = (x(point.units), last.unwrap_or(TOP + HEIGHT));
                    _ = write!(
                        marks,
                        r#"<path class="broke" d="M{:.1} {:.1}l10 10m0-10l-10 10"/>"#,
                        at.0 - 5.0,
                        at.1 - 5.0
                    );
                }
                Outcome::NotTried(_) => {}
            }
        }
        let y = TOP + HEIGHT + 40.0 + 18.0 * i as f64;
        let name = Row { way, sample: &crate::sample::Sample::seconds([]) }.label(language);
        _ = write!(
            svg,
            r#"<g class="line{0}"><path d="{path}"/>{marks}<path d="M{LEFT} {y}h26"/>{1}</g><text x="{2}" y="{3}">{4}</text>"#,
            i % 6,
            mark(i, (LEFT + 13.0, y)),
            LEFT + 34.0,
            y + 4.0,
            escape(&name.replace('`', ""))
        );
    }
    svg + "</svg>"
}

/// A mark of its own for each line, so that colors are not needed.
fn mark(line: usize, (x, y): (f64, f64)) -> String {
    let path = match line % 3 {
        0 => return format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="4"/>"#),
        1 => format!("M{:.1} {:.1}h8v8h-8z", x - 4.0, y - 4.0),
        _ => format!("M{x:.1} {:.1}l5 8h-10z", y - 5.0),
    };
    format!(r#"<path class="mark" d="{path}"/>"#)
}

/// `1`, `100`, `10k`, `1M`, `1G`.
fn short(value: f64) -> String {
    match value {
        v if v >= 0.999e9 => format!("{}G", digits(v / 1e9).replace(".0", "")),
        v if v >= 0.999e6 => format!("{}M", digits(v / 1e6).replace(".0", "")),
        v if v >= 0.999e3 => format!("{}k", digits(v / 1e3).replace(".0", "")),
        v => digits(v).replace(".0", ""),
    }
}

fn open(title: &str, height: f64) -> String {
    let title = escape(title);
    format!(
        r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}"><title>{title}</title>"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{curves::Point, sample::Sample};

    #[test]
    fn a_logarithmic_place() {
        assert_eq!(place(1.0, 1.0, 100.0), 0.0);
        assert!((place(10.0, 1.0, 100.0) - 0.5).abs() < 1e-9);
        assert_eq!(place(1e9, 1.0, 100.0), 1.0);
        assert_eq!(decades([0.02, 3.0, 0.0].into_iter()), Some((0.01, 10.0)));
        assert_eq!(decades([0.0].into_iter()), None);
    }

    #[test]
    fn bars_have_their_words_and_nothing_unescaped() {
        let (a, b) = (Sample::seconds([1.0]), Sample::seconds([2.0]));
        let rows = [Row { way: "a<b", sample: &a }, Row { way: "thread", sample: &b }];
        let svg = bars("x & y", &rows, Language::English);
        assert!(svg.contains("a&lt;b") && svg.contains("x &amp; y") && svg.contains("2.0 s"));
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn a_curve_that_broke_has_a_cross() {
        let took = |units| Point { units, outcome: Outcome::Took(vec![0.1]) };
        let broke = Point { units: 100, outcome: Outcome::Broke(Default::default()) };
        let all = Curves::from([("thread".into(), vec![took(1), took(10), broke])]);
        let svg = curves("start", &all, Language::Chinese);
        assert_eq!(svg.matches("class=\"broke\"").count(), 1);
        assert!(svg.contains("线程") && !svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn short_numbers() {
        let all = [1.0, 100.0, 10_000.0, 1e6, 1e9].map(short);
        assert_eq!(all, ["1", "100", "10k", "1M", "1G"]);
    }
}
