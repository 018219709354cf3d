//! A Chrome trace: the "JSON Array Format" of the Trace Event Format, which Perfetto and
//! `chrome://tracing` open.

use super::chart::Chart;
use std::fmt::Write;

/// Above all numbers that Linux and macOS give to processes and threads; Windows gives no number
/// that is odd, and may give one of these to another process, where it does no harm.
const FIRST_THREAD: u64 = 1 << 22;

pub(super) fn draw(chart: &Chart) -> String {
    let mut events = Vec::new();
    let mut next = FIRST_THREAD;
    for (place, process) in chart.processes.iter().enumerate() {
        let id = process.id;
        events.push(format!(
            r#"{{"ph":"M","name":"process_sort_index","pid":{id},"args":{{"sort_index":{place}}}}}"#
        ));
        events.push(format!(
            r#"{{"ph":"M","name":"process_name","pid":{id},"args":{{"name":{}}}}}"#,
            json(&process.name)
        ));
        for (place, row) in process.rows.iter().enumerate() {
            // The first thread's number is its process's. The kernel's numbers of the others are
            // not in the record, and a task has none.
            let thread = if place == 0 { u64::from(id) } else { next };
            next += 1;
            events.push(format!(
                r#"{{"ph":"M","name":"thread_sort_index","pid":{id},"tid":{thread},"args":{{"sort_index":{place}}}}}"#
            ));
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
            r#""name":"holds A \u003c&>","cat":"holds","pid":7,"tid":4194305,"ts":0.400,"dur":0.200"#
        ));
        assert!(trace.contains(r#""cat":"runs,cut off","pid":8,"tid":8"#), "{trace}");
        assert!(trace.contains(r#""name":"process_sort_index","pid":8,"args":{"sort_index":1}"#));
        assert!(
            trace.contains(r#""name":"thread_sort_index","pid":7,"tid":7,"args":{"sort_index":0}"#)
        );
        assert_eq!(trace.matches(r#""ph":"X""#).count(), 4);
        assert_eq!(trace.matches(r#""ph":"i""#).count(), 1);
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(json("a\"b\\c\n互<"), r#""a\"b\\c\u000a互\u003c""#);
    }
}
