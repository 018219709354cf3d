//! A Chrome trace: the "JSON Array Format" of the Trace Event Format, which Perfetto and
//! `chrome://tracing` open.

use super::chart::Chart;
use std::fmt::Write;

pub(super) fn draw(chart: &Chart) -> String {
    let mut events = Vec::new();
    let mut thread = 0;
    for process in &chart.processes {
        let id = process.id;
        events.push(format!(
            r#"{{"ph":"M","name":"process_name","pid":{id},"tid":0,"args":{{"name":{}}}}}"#,
            json(&process.name)
        ));
        for row in &process.rows {
            thread += 1; // a task has no thread number of its own
            events.push(format!(
                r#"{{"ph":"M","name":"thread_name","pid":{id},"tid":{thread},"args":{{"name":{}}}}}"#,
                json(&row.name)
            ));
            for bar in row.lanes.iter().flatten() {
                events.push(format!(
                    r#"{{"ph":"X","name":{},"cat":"{}{}","pid":{id},"tid":{thread},"ts":{},"dur":{}}}"#,
                    json(&format!("{} {}", bar.kind.word(), bar.name)),
                    bar.kind.word(),
                    if bar.cut { ",cut off" } else { "" },
                    microseconds(bar.from),
                    microseconds(bar.to - bar.from),
                ));
            }
            for (at, text) in &row.marks {
                events.push(format!(
                    r#"{{"ph":"i","s":"t","name":{},"pid":{id},"tid":{thread},"ts":{}}}"#,
                    json(text),
                    microseconds(*at)
                ));
            }
        }
    }
    format!("[\n{}\n]\n", events.join(",\n"))
}

/// The format's unit, without losing the nanoseconds.
fn microseconds(nanoseconds: u64) -> String {
    format!("{}.{:03}", nanoseconds / 1000, nanoseconds % 1000)
}

/// A string as JSON. `<` is escaped as well, so that it can stand in a page's script.
pub(super) fn json(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '<' | '\0'..' ' | '\u{2028}' | '\u{2029}' => {
                write!(out, "\\u{:04x}", c as u32).expect("a string takes all")
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::super::chart::{Chart, tests::RECORD};
    use super::*;

    #[test]
    fn every_span_is_a_complete_event() {
        let trace = draw(&Chart::from_record(RECORD));
        assert!(trace.contains(
            r#""name":"holds A \u003c&>","cat":"holds","pid":7,"tid":2,"ts":0.400,"dur":0.200"#
        ));
        assert!(trace.contains(r#""cat":"runs,cut off","pid":8"#), "{trace}");
        assert_eq!(trace.matches(r#""ph":"X""#).count(), 4);
        assert_eq!(trace.matches(r#""ph":"i""#).count(), 1);
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(json("a\"b\\c\n互<"), r#""a\"b\\c\u000a互\u003c""#);
    }
}
