//! The chart as one HTML page that needs nothing else: buttons, Ctrl and the wheel, a pinch, or `+`
//! and `-` zoom; a drag or the arrows move; a bar under the pointer shows its figures. Without
//! scripts it shows the image.

use super::{
    chart::{self, Chart, Kind},
    svg::{self, Escaped},
    trace::json,
};

const PAGE_STYLE: &str = "\
body{font:15px system-ui,'Noto Sans CJK SC',sans-serif;margin:1.5rem;background:var(--paper);color:var(--ink)}\
h1{font-size:1.25rem;margin:0 0 .25rem;overflow-wrap:anywhere}p{margin:.25rem 0 .75rem}.key+span,b+span{white-space:nowrap}\
button{font:inherit;min-width:2.6em;min-height:2.6em;margin-right:.4em}.touch{display:none}\
@media(pointer:coarse){.touch{display:inline}.mouse{display:none}}@media(max-width:600px){body{margin:.75rem}}\
#chart{width:100%;touch-action:pan-y;cursor:grab;user-select:none}.bar:hover rect{stroke:var(--ink);stroke-width:2}\
#tip{position:fixed;white-space:pre;pointer-events:none;background:var(--ink);color:var(--paper);padding:.4em .6em;border-radius:4px}\
.key{display:inline-block;width:1.6em;height:.8em;border-radius:2px;margin:0 .3em 0 1em}\
.key.runs{background:var(--run)}.key.holds{background:var(--hold)}\
.key.waits{border:1px solid var(--wait);background:repeating-linear-gradient(135deg,var(--wait) 0 2px,transparent 2px 6px)}\
b{color:var(--cut);margin-left:1em}";

pub(super) fn draw(chart: &Chart) -> String {
    let title = Escaped(chart.title());
    let keys: String = Kind::ALL
        .map(|kind| format!("<span class='key {0}'></span><span>{0}</span> ", kind.word()))
        .concat();
    format!(
        "<!doctype html>\n<html lang='en'>\n<meta charset='utf-8'>\n\
         <meta name='viewport' content='width=device-width'>\n<title>{title}: who ran when</title>\n\
         <style>{}{PAGE_STYLE}</style>\n<h1>{title}: who ran when, {}</h1>\n\
         <p><span class='mouse'>Ctrl and the wheel, + and − zoom; drag or ← → move; double click or 0 shows all; \
         point at a bar for its figures.</span><span class='touch'>Pinch to zoom, drag to move, tap a bar for its figures.</span></p>\n\
         <p><button id='in' aria-label='zoom in'>+</button><button id='out' aria-label='zoom out'>−</button>\
         <button id='all'>all</button>{keys}<b>✗</b> <span>cut off</span></p>\n\
         <svg id='chart' role='group' tabindex='0' aria-label='{title}: who ran when'>{}</svg>\n<div id='tip' hidden></div>\n<noscript>{}</noscript>\n\
         <script>\nconst length = {}, chart = {};\n{}</script>\n</html>\n",
        svg::STYLE,
        chart::time(chart.length),
        svg::HATCH,
        svg::draw(chart),
        chart.length,
        data(chart),
        include_str!("page.js"),
    )
}

/// What `page.js` draws.
fn data(chart: &Chart) -> String {
    let list = |items: Vec<String>| format!("[{}]", items.join(","));
    let processes = chart.processes.iter().map(|process| {
        let rows = process.rows.iter().map(|row| {
            let bars = row.lanes.iter().enumerate().flat_map(|(lane, bars)| {
                bars.iter().map(move |bar| {
                    let (kind, name) = (json(bar.kind.word()), json(&bar.name));
                    format!("[{lane},{},{},{kind},{name},{}]", bar.from, bar.to, bar.cut)
                })
            });
            let marks = row.marks.iter().map(|(at, text)| format!("[{at},{}]", json(text)));
            format!(
                "{{name:{},depth:{},from:{},to:{},lanes:{},bars:{},marks:{}}}",
                json(&row.name),
                row.depth(),
                row.from,
                row.to,
                row.lanes.len(),
                list(bars.collect()),
                list(marks.collect())
            )
        });
        format!("{{id:{},name:{},rows:{}}}", process.id, json(&process.name), list(rows.collect()))
    });
    list(processes.collect())
}

#[cfg(test)]
mod tests {
    use super::super::chart::tests::RECORD;
    use super::*;

    #[test]
    fn the_page_needs_nothing_else_and_a_name_cannot_break_out() {
        let record = RECORD.replace("A <&>", "</script><b>");
        let page = draw(&Chart::from_record(&record));
        assert_eq!(page.matches("</script>").count(), 1);
        assert!(!page.contains("src="), "it loads nothing");
        assert!(
            page.contains("[1,400,600,\"holds\",\"\\u003c/script>\\u003cb>\",false]"),
            "{page}"
        );
    }
}
