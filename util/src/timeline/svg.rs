//! The chart as an SVG image, in light or dark as its reader prefers.

use super::{
    chart::{self, Bar, Chart, Kind, Row},
    text::{self, fit, width},
};
use std::fmt::{self, Write};

const WIDTH: u64 = 960;
/// The column of names is as wide as the longest, within these limits.
const LABEL: std::ops::RangeInclusive<u64> = 80..=320;
/// About the width of a letter; one of an East Asian script takes two.
const LETTER: f64 = 7.5;
/// How far a task's name stands to the right of its thread's.
const INDENT: u64 = 16;
const MARGIN: u64 = 16;
const LANE: u64 = 24;
/// Between one row and the next.
const GAP: u64 = 8;
const HEAD: u64 = 56;

/// Also the page's.
pub(super) const STYLE: &str = "\
svg{font:13px system-ui,'Noto Sans CJK SC',sans-serif;background:var(--paper)}\
svg,:root{--paper:#fff;--ink:#1f2328;--soft:#57606a;--faint:#d0d7de;--run:#8fd19e;--hold:#2b62b5;--wait:#b36b00;--cut:#c0182a}\
@media(prefers-color-scheme:dark){svg,:root{--paper:#14181d;--ink:#e6edf3;--soft:#9aa4af;--faint:#363d46;--run:#226636;--hold:#345fa8;--wait:#e0a044;--cut:#ff7b72}}\
text{fill:var(--ink)}.small{font-size:11px;fill:var(--soft)}.title{font-weight:600}\
.grid{stroke:var(--faint)}.alive{stroke:var(--faint);stroke-width:2}\
.runs{fill:var(--run)}.holds{fill:var(--hold)}.waits{fill:url(#hatch);stroke:var(--wait)}\
.holds+text{fill:#fff}.waits+text{paint-order:stroke;stroke:var(--paper);stroke-width:4px}\
.paper{fill:var(--paper)}.hatch{stroke:var(--wait);stroke-width:2}.cut{stroke:var(--cut);stroke-width:3}.mark{fill:var(--cut)}";

/// The pattern of what waits.
pub(super) const HATCH: &str = "<defs><pattern id='hatch' width='6' height='6' patternUnits='userSpaceOnUse' \
patternTransform='rotate(45)'><rect class='paper' width='6' height='6'/><line class='hatch' x1='0' y1='0' x2='0' y2='6'/></pattern></defs>";

pub(super) fn draw(chart: &Chart) -> String {
    let rows_height: u64 = chart.rows().map(height).sum();
    let titles = if chart.processes.len() > 1 { chart.processes.len() as u64 * LANE } else { 0 };
    let total = HEAD + rows_height + titles + 44;
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {total}' width='{WIDTH}' height='{total}' \
         role='img' aria-label='{0}: who ran when'>\n<style>{STYLE}</style>\n{HATCH}\n\
         <text class='title' x='{MARGIN}' y='24'>{0}</text>\
         <text class='small' x='{1}' y='24' text-anchor='end'>{2}</text>\n",
        Escaped(chart.title()),
        WIDTH - MARGIN,
        chart::time(chart.length),
    );
    let label = label_width(chart);
    let scale = |time: u64| {
        label as f64 + (WIDTH - label - MARGIN) as f64 * time as f64 / chart.length as f64
    };
    for time in chart::axis(chart.length, 8) {
        let (x, bottom) = (scale(time), total - 36);
        // The last one stands to the left of its line, or it would be cut.
        let anchor = if x > (WIDTH - 2 * MARGIN) as f64 { "end" } else { "middle" };
        add(
            &mut svg,
            format_args!(
                "<line class='grid' x1='{x:.1}' y1='44' x2='{x:.1}' y2='{bottom}'/>\
             <text class='small' x='{x:.1}' y='40' text-anchor='{anchor}'>{}</text>\n",
                chart::time(time)
            ),
        );
    }
    let mut y = HEAD;
    for process in &chart.processes {
        if titles > 0 {
            let name = Escaped(&process.name);
            add(
                &mut svg,
                format_args!(
                    "<text class='small' x='{MARGIN}' y='{}'>{name} (process {})</text>\n",
                    y + 15,
                    process.id
                ),
            );
            y += LANE;
        }
        for row in &process.rows {
            draw_row(&mut svg, row, y, label, &scale);
            y += height(row);
        }
    }
    legend(&mut svg, chart, total - 12);
    svg + "</svg>\n"
}

fn height(row: &Row) -> u64 {
    row.lanes.len() as u64 * LANE + GAP
}

/// As wide as the longest name needs, with space on both sides.
fn label_width(chart: &Chart) -> u64 {
    let widest = |row: &Row| (width(&row.name) as f64 * LETTER) as u64 + row.depth() * INDENT;
    let widest = chart.rows().map(widest).max().unwrap_or_default();
    (widest + MARGIN + 12).clamp(*LABEL.start(), *LABEL.end())
}

fn draw_row(svg: &mut String, row: &Row, top: u64, label: u64, scale: &dyn Fn(u64) -> f64) {
    let left = MARGIN + row.depth() * INDENT;
    let room = ((label - left - 8) as f64 / LETTER) as usize;
    let shown = if width(&row.name) > room { fit(&row.name, room) } else { row.name.clone() };
    let (shown, name) = (Escaped(&shown), Escaped(&row.name));
    let (from, to, middle) = (scale(row.from), scale(row.to), top + LANE / 2);
    add(
        svg,
        format_args!(
            "<text x='{left}' y='{}'><title>{name}</title>{shown}</text>\
         <line class='alive' x1='{from:.1}' y1='{middle}' x2='{to:.1}' y2='{middle}'/>\n",
            middle + 4
        ),
    );
    for (i, lane) in row.lanes.iter().enumerate() {
        for bar in lane {
            draw_bar(svg, bar, top + i as u64 * LANE, scale);
        }
    }
    for (at, text) in &row.marks {
        let (x, y) = (scale(*at), top + LANE / 2);
        // A word near the right edge stands to the left of its mark.
        let (anchor, shift) =
            if x > (WIDTH * 2 / 3) as f64 { ("end", -9.0) } else { ("start", 9.0) };
        add(
            svg,
            format_args!(
                "<path class='mark' d='M{x:.1} {}l6 6l-6 6l-6-6z'><title>{}</title></path>\
             <text class='small' x='{:.1}' y='{}' text-anchor='{anchor}'>{}</text>\n",
                y - 6,
                Escaped(text),
                x + shift,
                y - 5,
                Escaped(text)
            ),
        );
    }
}

fn draw_bar(svg: &mut String, bar: &Bar, top: u64, scale: &dyn Fn(u64) -> f64) {
    let (x, end) = (scale(bar.from), scale(bar.to));
    let width = (end - x).max(1.0); // however short, it is seen
    let (kind, name) = (bar.kind.word(), Escaped(&bar.name));
    let length = chart::time(bar.to - bar.from);
    add(
        svg,
        format_args!(
            "<g><title>{name}: {kind} {length}</title>\
         <rect class='{kind}' x='{x:.1}' y='{}' width='{width:.1}' height='{}' rx='2'/>",
            top + 2,
            LANE - 4
        ),
    );
    let letters = text::width(&bar.name);
    if letters > 0 && letters as f64 * LETTER + 6.0 <= width {
        let (x, y) = (x + width / 2.0, top + LANE / 2 + 4);
        add(svg, format_args!("<text x='{x:.1}' y='{y}' text-anchor='middle'>{name}</text>"));
    }
    if bar.cut {
        let (x, top, bottom) = (x + width, top + 4, top + LANE - 4);
        add(
            svg,
            format_args!(
                "<path class='cut' d='M{:.1} {top}L{:.1} {bottom}M{:.1} {bottom}L{:.1} {top}'/>",
                x - 6.0,
                x + 6.0,
                x - 6.0,
                x + 6.0
            ),
        );
    }
    add(svg, format_args!("</g>\n"));
}

fn legend(svg: &mut String, chart: &Chart, y: u64) {
    let mut x = MARGIN;
    for kind in Kind::ALL {
        let meaning = match kind {
            Kind::Run => "runs",
            Kind::Hold => "holds the lock",
            Kind::Wait => "waits",
        };
        if chart.rows().any(|row| row.lanes.iter().flatten().any(|bar| bar.kind == kind)) {
            add(
                svg,
                format_args!(
                    "<rect class='{}' x='{x}' y='{}' width='24' height='12' rx='2'/>\
                 <text x='{}' y='{y}' style='stroke:none;fill:var(--ink)'>{meaning}</text>\n",
                    kind.word(),
                    y - 10,
                    x + 30
                ),
            );
            x += 130;
        }
    }
    if chart.rows().any(|row| row.lanes.iter().flatten().any(|bar| bar.cut)) {
        let (top, bottom) = (y - 10, y + 2);
        add(
            svg,
            format_args!(
                "<path class='cut' d='M{x} {top}L{0} {bottom}M{x} {bottom}L{0} {top}'/>\
             <text x='{1}' y='{y}' style='fill:var(--ink)'>cut off</text>\n",
                x + 12,
                x + 20
            ),
        );
    }
}

fn add(svg: &mut String, piece: fmt::Arguments) {
    svg.write_fmt(piece).expect("a string takes all");
}

/// Text inside an element or an attribute.
pub(super) struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '\'' => f.write_str("&#39;")?,
                '"' => f.write_str("&quot;")?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::chart::tests::RECORD;
    use super::*;

    #[test]
    fn waiting_looks_unlike_holding_and_names_are_escaped() {
        let svg = draw(&Chart::from_record(RECORD));
        assert!(svg.contains("<title>A: waits 200 ns</title><rect class='waits'"), "{svg}");
        assert!(svg.contains("<title>A &lt;&amp;&gt;: holds 200 ns</title><rect class='holds'"));
        assert!(!svg.contains("A <&>"));
    }

    #[test]
    fn what_was_cut_off_is_crossed() {
        let svg = draw(&Chart::from_record(RECORD));
        assert_eq!(svg.matches("class='cut'").count(), 2, "one bar, and the legend");
    }

    #[test]
    fn every_element_is_closed() {
        let svg = draw(&Chart::from_record(RECORD));
        for element in ["svg", "g", "text", "title", "defs", "pattern", "style"] {
            let opened = svg.matches(&format!("<{element} ")).count()
                + svg.matches(&format!("<{element}>")).count();
            assert_eq!(opened, svg.matches(&format!("</{element}>")).count(), "{element}");
        }
    }
}
