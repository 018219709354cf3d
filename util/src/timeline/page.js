// Draws `chart` (a list of processes) into the page, and lets one look closer.
"use strict";
const svg = document.querySelector("#chart"), tip = document.querySelector("#tip");
const LANE = 24, GAP = 8, TOP = 32;
let label = 0; // the width of the column of names
let view = [0, length]; // the nanoseconds that are seen

function element(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A time for people; with a `step`, exact enough to tell it from the next one. */
function time(ns, step = 0) {
  const [unit, size] = ns < 1e3 ? ["ns", 1] : ns < 1e6 ? ["µs", 1e3] : ns < 1e9 ? ["ms", 1e6] : ["s", 1e9];
  if (ns === 0) return "0";
  const decimals = step ? Math.max(0, Math.ceil(Math.log10(size / step) - 1e-9)) : 3;
  const number = (ns / size).toFixed(Math.min(decimals, 9));
  return (step ? number : parseFloat(number)) + " " + unit;
}

/** Writes `text` into a `text` element that is in the page, with an ellipsis if it is wider than `room`; returns its width. */
function fit(made, text, room) {
  const letters = [...text];
  made.textContent = text;
  let width = made.getComputedTextLength();
  for (let kept = Math.floor(letters.length * room / width); width > room && kept > 0; kept--) {
    made.textContent = letters.slice(0, kept).join("").trimEnd() + "…";
    width = made.getComputedTextLength();
  }
  if (made.textContent !== text) made.append(element("title", {}, text));
  return width;
}

/** How wide the column of names has to be: as the longest name, and at most a third of the chart. */
function measure(width) {
  const probe = element("text");
  svg.append(probe);
  let longest = 0;
  for (const process of chart) for (const row of process.rows) {
    probe.textContent = row.name;
    longest = Math.max(longest, probe.getComputedTextLength() + 16 * row.depth);
  }
  probe.remove();
  label = Math.min(Math.ceil(longest) + 20, Math.floor(width / 3));
}

function draw() {
  const width = svg.clientWidth, [from, to] = view;
  measure(width);
  const x = t => label + (t - from) / (to - from) * (width - label - 8);
  const bars = element("g", { "clip-path": "url(#inside)" }), rest = element("g"), grid = element("g");
  const clip = element("clipPath", { id: "inside" });
  svg.querySelectorAll(":scope > :not(defs)").forEach(old => old.remove());
  svg.append(clip, grid, rest, bars); // in the page while they are made: text is measured
  const rough = Math.max(1, (to - from) / Math.max(2, (width - label) / 110)), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(n => n * power).find(n => n >= rough);
  let free = label - 8; // where the next time may begin
  for (let i = Math.ceil(from / step); i * step <= to; i++) {
    const t = i * step, at = element("text", { class: "small", y: 14 }, time(t, step));
    grid.append(element("line", { class: "grid", x1: x(t), x2: x(t), y1: 20, y2: "100%" }), at);
    const wide = at.getComputedTextLength(), left = Math.min(Math.max(x(t) - wide / 2, label - 8), width - wide - 2);
    if (left < free) at.remove();
    else { at.setAttribute("x", left); free = left + wide + 8; }
  }
  let y = TOP;
  for (const process of chart) {
    if (chart.length > 1) {
      const name = element("text", { class: "small", x: 8, y: y + 15 });
      rest.append(name);
      fit(name, `${process.name} (process ${process.id})`, width - 16);
      y += LANE;
    }
    for (const row of process.rows) {
      const name = element("text", { x: 8 + 16 * row.depth, y: y + 16 });
      rest.append(name);
      fit(name, row.name, label - 16 - 16 * row.depth);
      bars.append(element("line", { class: "alive", x1: x(row.from), x2: x(row.to), y1: y + 12, y2: y + 12 }));
      for (const [lane, start, end, kind, name, cut] of row.bars) {
        if (end < from || start > to) continue;
        const left = Math.max(x(start), label), wide = Math.max(1, Math.min(x(end), width) - left);
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
        box.append(element("title", {}, box.tip));
        bars.append(box);
      }
      for (const [at, text] of row.marks) {
        const box = element("g", { class: "bar" });
        box.append(element("path", { class: "mark", d: `M${x(at)} ${y + 6}l6 6l-6 6l-6-6z` }));
        box.tip = `${text}\nat ${time(at)}, ${row.name}`;
        box.append(element("title", {}, box.tip));
        bars.append(box);
      }
      y += row.lanes * LANE + GAP;
    }
  }
  clip.append(element("rect", { x: label - 6, y: 0, width: width - label + 6, height: y }));
  svg.setAttribute("height", y + 8);
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
  return Math.max(0, Math.min(1, (event.clientX - box.left - label) / (box.width - label - 8)));
};

// A plain wheel scrolls the page, which may be taller than the window; a pinch on a touchpad is a wheel with Ctrl.
svg.addEventListener("wheel", event => {
  const [from, to] = view, sideways = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
  if (event.ctrlKey) zoom(1.0015 ** event.deltaY, share(event));
  else if (Math.abs(sideways) > 0) move(from + sideways / 800 * (to - from), to - from);
  else return;
  event.preventDefault();
}, { passive: false });
const fingers = new Map(); // the pointers that are down, and where
let grip = null; // the view when they came down, and where the first was, or how far two were apart
function hold() {
  const [first, second] = [...fingers.values()];
  grip = first && { view: [...view], x: first.clientX, apart: second && Math.abs(first.clientX - second.clientX), at: share(first) };
}
svg.addEventListener("pointerdown", event => {
  if (event.pointerType !== "touch") svg.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, event);
  hold();
});
for (const end of ["pointerup", "pointercancel"]) {
  svg.addEventListener(end, event => { fingers.delete(event.pointerId); hold(); });
}
svg.addEventListener("pointermove", event => {
  if (grip && fingers.has(event.pointerId)) {
    fingers.set(event.pointerId, event);
    const [first, second] = [...fingers.values()], [from, to] = grip.view;
    if (second) {
      const apart = Math.abs(first.clientX - second.clientX);
      view = [from, to];
      return zoom(Math.max(20, grip.apart) / Math.max(20, apart), grip.at);
    }
    return move(from - (first.clientX - grip.x) / (svg.clientWidth - label) * (to - from), to - from);
  }
  const bar = document.elementFromPoint(event.clientX, event.clientY)?.closest(".bar");
  tip.hidden = !bar;
  if (bar) {
    tip.textContent = bar.tip;
    tip.style.left = Math.max(0, Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)) + "px";
    tip.style.top = Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8) + "px";
  }
});
svg.addEventListener("pointerleave", () => tip.hidden = true);
svg.addEventListener("dblclick", () => move(0, length));
const ACTIONS = { in: () => zoom(0.5, 0.5), out: () => zoom(2, 0.5), all: () => move(0, length) };
for (const button of document.querySelectorAll("button")) button.addEventListener("click", ACTIONS[button.id]);
svg.addEventListener("keydown", event => {
  const [from, to] = view, tenth = (to - from) / 10;
  const act = {
    "+": () => zoom(0.8, 0.5), "=": () => zoom(0.8, 0.5), "-": () => zoom(1.25, 0.5), "0": () => move(0, length),
    ArrowLeft: () => move(from - tenth, to - from), ArrowRight: () => move(from + tenth, to - from),
  }[event.key];
  if (act && !event.ctrlKey && !event.metaKey) { event.preventDefault(); act(); }
});
addEventListener("resize", draw);
draw();
