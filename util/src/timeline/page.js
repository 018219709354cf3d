// Draws `chart` (a list of processes) into the page, and lets one look closer.
"use strict";
const svg = document.querySelector("#chart"), tip = document.querySelector("#tip");
const LABEL = 150, LANE = 24, GAP = 8, TOP = 32;
let view = [0, length]; // the nanoseconds that are seen

function element(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  return made;
}

function time(ns) {
  const [unit, size] = ns < 1e3 ? ["ns", 1] : ns < 1e6 ? ["µs", 1e3] : ns < 1e9 ? ["ms", 1e6] : ["s", 1e9];
  return ns === 0 ? "0" : parseFloat((ns / size).toPrecision(6)) + " " + unit;
}

function draw() {
  const width = svg.clientWidth, [from, to] = view;
  const x = t => LABEL + (t - from) / (to - from) * (width - LABEL - 8);
  const bars = element("g", { "clip-path": "url(#inside)" }), rest = element("g"), grid = element("g");
  const rough = (to - from) / Math.max(2, width / 120), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(n => n * power).find(n => n >= rough);
  for (let t = Math.ceil(from / step) * step; t <= to; t += step) {
    grid.append(element("line", { class: "grid", x1: x(t), x2: x(t), y1: 20, y2: "100%" }));
    grid.append(element("text", { class: "small", x: x(t), y: 14, "text-anchor": "middle" }, time(t)));
  }
  let y = TOP;
  for (const process of chart) {
    if (chart.length > 1) {
      rest.append(element("text", { class: "small", x: 8, y: y + 15 }, `${process.name} (process ${process.id})`));
      y += LANE;
    }
    for (const row of process.rows) {
      rest.append(element("text", { x: 8, y: y + 16 }, row.name));
      bars.append(element("line", { class: "alive", x1: x(row.from), x2: x(row.to), y1: y + 12, y2: y + 12 }));
      for (const [lane, start, end, kind, name, cut] of row.bars) {
        if (end < from || start > to) continue;
        const left = Math.max(x(start), LABEL), wide = Math.max(1, Math.min(x(end), width) - left);
        const box = element("g", { class: "bar" }), at = y + lane * LANE;
        box.append(element("rect", { class: kind, x: left, y: at + 2, width: wide, height: LANE - 4, rx: 2 }));
        if ([...name].length * 9 < wide) {
          box.append(element("text", { x: left + wide / 2, y: at + 16, "text-anchor": "middle" }, name));
        }
        if (cut) {
          const r = x(end);
          box.append(element("path", { class: "cut", d: `M${r - 6} ${at + 4}l12 16m0-16l-12 16` }));
        }
        box.tip = `${name}: ${kind} ${time(end - start)}, from ${time(start)} to ${time(end)}${cut ? " (cut off)" : ""}\n`
          + `${row.name}, ${process.name} (process ${process.id})`;
        bars.append(box);
      }
      for (const [at, text] of row.marks) {
        const box = element("g", { class: "bar" });
        box.append(element("path", { class: "mark", d: `M${x(at)} ${y + 6}l6 6l-6 6l-6-6z` }));
        box.tip = `${text}\nat ${time(at)}, ${row.name}`;
        bars.append(box);
      }
      y += row.lanes * LANE + GAP;
    }
  }
  const clip = element("clipPath", { id: "inside" });
  clip.append(element("rect", { x: LABEL - 6, y: 0, width: width - LABEL + 6, height: y }));
  svg.setAttribute("height", y + 8);
  svg.querySelectorAll(":scope > :not(defs)").forEach(old => old.remove());
  svg.append(clip, grid, rest, bars);
}

/** Zooms by `factor` around the time at `share` of the view, never past the ends. */
function zoom(factor, share) {
  const [from, to] = view, span = Math.min(length, Math.max(10, (to - from) * factor));
  move(from + share * (to - from) - share * span, span);
}
function move(from, span) {
  from = Math.max(0, Math.min(from, length - span));
  view = [from, from + span];
  draw();
}
const share = event => {
  const box = svg.getBoundingClientRect();
  return Math.max(0, Math.min(1, (event.clientX - box.left - LABEL) / (box.width - LABEL - 8)));
};

svg.addEventListener("wheel", event => {
  event.preventDefault();
  const [from, to] = view;
  if (event.shiftKey || event.deltaX) move(from + (event.deltaX || event.deltaY) / 800 * (to - from), to - from);
  else zoom(1.0015 ** event.deltaY, share(event));
}, { passive: false });
let grip = null;
svg.addEventListener("pointerdown", event => { grip = [event.clientX, ...view]; svg.setPointerCapture(event.pointerId); });
svg.addEventListener("pointerup", () => grip = null);
svg.addEventListener("pointermove", event => {
  if (grip) {
    const [x, from, to] = grip;
    return move(from - (event.clientX - x) / (svg.clientWidth - LABEL) * (to - from), to - from);
  }
  const bar = document.elementFromPoint(event.clientX, event.clientY)?.closest(".bar");
  tip.hidden = !bar;
  if (bar) {
    tip.textContent = bar.tip;
    tip.style.left = Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8) + "px";
    tip.style.top = event.clientY + 16 + "px";
  }
});
svg.addEventListener("pointerleave", () => tip.hidden = true);
svg.addEventListener("dblclick", () => move(0, length));
addEventListener("keydown", event => {
  const [from, to] = view, tenth = (to - from) / 10;
  const act = {
    "+": () => zoom(0.8, 0.5), "=": () => zoom(0.8, 0.5), "-": () => zoom(1.25, 0.5), "0": () => move(0, length),
    ArrowLeft: () => move(from - tenth, to - from), ArrowRight: () => move(from + tenth, to - from),
  }[event.key];
  if (act && !event.ctrlKey && !event.metaKey) { event.preventDefault(); act(); }
});
addEventListener("resize", draw);
draw();
