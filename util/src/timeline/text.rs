//! The chart as text: as wide as the terminal, in colors where there are any, and
//! readable without.

use super::chart::{self, Bar, Chart, Kind, Row};

const LABEL_AT_MOST: usize = 24;
/// In fewer columns there is nothing to see.
const NARROWEST: usize = 16;

/// One cell of the chart. A wide character takes two: the second is `None`.
#[derive(Clone, Copy)]
struct Cell {
    glyph: Option<char>,
    kind: Option<Kind>,
}

/// Draws `chart` `columns` wide, the line ends not counted.
pub(super) fn draw(chart: &Chart, columns: usize, colors: bool) -> String {
    let columns = columns.max(NARROWEST);
    let name = |row: &Row| format!("{}{}", "  ".repeat(row.depth() as usize), row.name);
    let label = chart.rows().map(|row| width(&name(row))).max().unwrap_or(0);
    let label = label.min(LABEL_AT_MOST).min(columns / 3);
    let cells = columns - label - 1;
    let scale = Scale { length: chart.length, cells };
    let whole_line = |text: String| format!("{}\n", fit(&text, columns).trim_end());

    let mut out = whole_line(format!("{}, {}", chart.title(), chart::time(chart.length)));
    out += &line(&" ".repeat(label), &scale.axis(), false);
    for process in &chart.processes {
        if chart.processes.len() > 1 {
            out += &whole_line(format!("{} (process {})", process.name, process.id));
        }
        for row in &process.rows {
            for (i, lane) in row.lanes.iter().enumerate() {
                let name = if i == 0 { name(row) } else { String::new() };
                out += &line(&fit(&name, label), &scale.lane(row, lane, i == 0), colors);
            }
        }
    }
    for row in chart.rows() {
        for (at, text) in &row.marks {
            out += &whole_line(format!("◆ {}, {}: {text}", row.name, chart::time(*at)));
        }
    }
    let drawn =
        |kind| chart.rows().any(|row| row.lanes.iter().flatten().any(|bar| bar.kind == kind));
    let mut legend: Vec<_> = Kind::ALL
        .into_iter()
        .filter(|kind| drawn(*kind))
        .map(|kind| format!("{} {}", glyph(kind), kind.word()))
        .collect();
    if chart.rows().any(|row| row.lanes.iter().flatten().any(|bar| bar.cut)) {
        legend.push("✗ cut off".into());
    }
    let mut end = String::new();
    for item in legend {
        if width(&end) + 3 + width(&item) > columns {
            out += &format!("{end}\n");
            end.clear();
        }
        end += if end.is_empty() { "" } else { "   " };
        end += &item;
    }
    out + &end + "\n"
}

struct Scale {
    length: u64,
    cells: usize,
}

impl Scale {
    fn cell(&self, time: u64) -> usize {
        (u128::from(time) * self.cells as u128 / u128::from(self.length)) as usize
    }

    /// The labels of the axis, those that fit.
    fn axis(&self) -> Vec<Cell> {
        let mut cells = vec![Cell { glyph: Some(' '), kind: None }; self.cells];
        let mut free = 0;
        for time in chart::axis(self.length, self.cells as u64 / 14) {
            let (at, text) = (self.cell(time), chart::time(time));
            if at >= free && at + width(&text) <= self.cells {
                put(&mut cells[at..], &text, None);
                free = at + width(&text) + 2;
            }
        }
        cells
    }

    fn lane(&self, row: &Row, bars: &[Bar], first: bool) -> Vec<Cell> {
        let mut cells = vec![Cell { glyph: Some(' '), kind: None }; self.cells];
        if first {
            for cell in &mut cells[self.cell(row.from)..self.cell(row.to)] {
                cell.glyph = Some('┈');
            }
        }
        for bar in bars {
            self.bar(&mut cells, bar);
        }
        if first {
            for (at, _) in &row.marks {
                cells[self.cell(*at).min(self.cells - 1)] = Cell { glyph: Some('◆'), kind: None };
            }
        }
        cells
    }

    fn bar(&self, cells: &mut [Cell], bar: &Bar) {
        let from = self.cell(bar.from).min(self.cells - 1);
        let to = self.cell(bar.to).max(from + 1); // however short, it is seen
        let cells = &mut cells[from..to];
        cells.fill(Cell { glyph: Some(glyph(bar.kind)), kind: Some(bar.kind) });
        if width(&bar.name) + 4 <= cells.len() {
            put(&mut cells[1..], &format!(" {} ", bar.name), Some(bar.kind));
        }
        if bar.cut {
            cells[to - from - 1].glyph = Some('✗');
        }
    }
}

fn glyph(kind: Kind) -> char {
    match kind {
        Kind::Run => '━',
        Kind::Hold => '█',
        Kind::Wait => '░',
    }
}

fn put(cells: &mut [Cell], text: &str, kind: Option<Kind>) {
    let glyphs = text.chars().flat_map(|c| {
        let second = (char_width(c) == 2).then_some(None);
        [Some(c)].into_iter().chain(second)
    });
    for (cell, glyph) in cells.iter_mut().zip(glyphs) {
        *cell = Cell { glyph, kind };
    }
}

fn line(label: &str, cells: &[Cell], colors: bool) -> String {
    let mut out = format!("{label} ");
    let mut current = None;
    for cell in cells {
        if colors && cell.kind != current {
            out += match cell.kind {
                None => "\x1b[0m",
                Some(Kind::Run) => "\x1b[0;32m",
                Some(Kind::Hold) => "\x1b[0;1;34m",
                Some(Kind::Wait) => "\x1b[0;33m",
            };
            current = cell.kind;
        }
        out.extend(cell.glyph);
    }
    if current.is_some() {
        out += "\x1b[0m";
    }
    out.truncate(out.trim_end().len());
    out + "\n"
}

/// `text` in exactly `columns`: padded, or with an ellipsis in its middle, for names often differ
/// at their ends.
pub(super) fn fit(text: &str, columns: usize) -> String {
    let mut out = text.to_owned();
    if width(text) > columns {
        let kept = columns.saturating_sub(1);
        let tail: String = first_columns(text.chars().rev(), kept / 2).chars().rev().collect();
        out = first_columns(text.chars(), kept - width(&tail)) + "…" + &tail;
    }
    let left = columns.saturating_sub(width(&out));
    out + &" ".repeat(left)
}

/// As many characters as `columns` hold.
fn first_columns(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let fitting = |left: &mut usize, c| {
        *left = left.checked_sub(char_width(c))?;
        Some(c)
    };
    chars.scan(columns, fitting).collect()
}

pub(super) fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Columns a character takes in a terminal: two for those of East Asian scripts and for
/// emoji (the ranges of Unicode's East Asian Width that are W or F), else one.
fn char_width(c: char) -> usize {
    let wide = matches!(c,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}');
    if wide { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::super::chart::tests::RECORD;
    use super::*;

    #[test]
    fn the_chart_fits_and_is_readable_without_colors() {
        let drawn = draw(&Chart::from_record(RECORD), 60, false);
        assert_eq!(
            drawn,
            "\
case, 1.1 µs
     0                        500 ns                   1 µs
case (process 7)
main ┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈┈◆┈┈┈┈┈┈┈┈┈
add       ━ loop ━━━━━━━━━━━━━━━━━━━━━━━
               ░ A ░░░░░░█ A <&> ██
child (process 8)
main             ┈━ work ━━━━━━━━━✗
◆ main, 800 ns: done
━ runs   █ holds   ░ waits   ✗ cut off
"
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for columns in [16, 17, 20, 39, 40, 79, 200] {
            let record = RECORD.replace("add", "加法的线程").replace("done", &"done ".repeat(50));
            let drawn = draw(&Chart::from_record(&record), columns, false);
            for line in drawn.lines() {
                assert!(width(line) <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn colors_end_where_the_line_ends() {
        let drawn = draw(&Chart::from_record(RECORD), 60, true);
        for line in drawn.lines().filter(|line| line.contains('\x1b')) {
            assert_eq!(line.rfind("\x1b[0m"), line.rfind('\x1b'), "{line:?}");
        }
        assert!(drawn.contains("\x1b[0;33m"));
    }

    #[test]
    fn labels_are_padded_or_cut() {
        assert_eq!(fit("互斥锁", 8), "互斥锁  ");
        assert_eq!(fit("互斥锁", 5), "互…锁");
        assert_eq!(fit("互斥锁", 4), "互… ");
        assert_eq!(fit("http://127.0.0.1/index/12", 16), "http://1…ndex/12");
        assert_eq!(fit("", 2), "  ");
    }

    #[test]
    fn an_empty_chart_is_drawn() {
        assert!(draw(&Chart::from_record(""), 80, false).starts_with(", 1 ns"));
    }
}
