// Bars of log lines over time, stacked by level. Dragging over them zooms in.

import { h, svg } from "./dom.js";
import { clock, dateTime, number } from "./format.js";
import { LEVEL_ORDER, levelOf } from "./logrows.js";
import { setAbsolute } from "./timerange.js";

const [WIDTH, HEIGHT] = [1200, 84];

// Buckets of `step` seconds: [{from, total, levels: {level: count}}].
export function buckets(matrix, range, step) {
  const byStart = new Map();
  for (const { metric, values } of matrix) {
    const level = levelOf(metric);
    for (const [end, text] of values) {
      const bucket = byStart.get(end) ?? { from: (end - step) * 1000, to: end * 1000, total: 0, levels: {} };
      bucket.levels[level] = (bucket.levels[level] ?? 0) + Number(text);
      bucket.total += Number(text);
      byStart.set(end, bucket);
    }
  }
  return [...byStart.values()].sort((a, b) => a.from - b.from);
}

export function histogram(matrix, range, step) {
  const bars = buckets(matrix, range, step);
  const highest = Math.max(...bars.map(({ total }) => total), 1);
  const x = (time) => ((time - range.from) / (range.to - range.from)) * WIDTH;
  const width = Math.max(1, (step * 1000 / (range.to - range.from)) * WIDTH - 1);
  const drawn = bars.map((bar) => {
    let y = HEIGHT;
    const parts = [...LEVEL_ORDER].reverse().filter((level) => bar.levels[level]).map((level) => {
      const height = (bar.levels[level] / highest) * (HEIGHT - 4);
      y -= height;
      return svg("rect", { class: `bar ${level}`, x: x(bar.from), y, width, height });
    });
    const levels = LEVEL_ORDER.filter((level) => bar.levels[level]).map((level) => `${level} ${bar.levels[level]}`).join(", ");
    return svg("g", {}, svg("title", {}, `${dateTime(bar.from)}: ${bar.total} lines (${levels})`),
      svg("rect", { class: "hover", x: x(bar.from), y: 0, width, height: HEIGHT }), parts);
  });
  const selection = svg("rect", { class: "selection", y: 0, height: HEIGHT, width: 0, x: 0 });
  const total = bars.reduce((sum, bar) => sum + bar.total, 0);
  const chart = svg("svg", { class: "histogram", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${total} lines over time` }, drawn, selection);
  brush(chart, selection, range);
  const label = range.to - range.from > 86_400_000 ? (time) => dateTime(time).slice(5, 16) : (time) => clock(time);
  const middle = (range.from + range.to) / 2;
  return h("div", {}, chart, h("div", { class: "ticks" }, [range.from, middle, range.to].map((time) => h("span", {}, label(time)))), legend(bars));
}

function legend(bars) {
  const totals = {};
  for (const { levels } of bars) for (const [level, count] of Object.entries(levels)) totals[level] = (totals[level] ?? 0) + count;
  return h("div", { class: "level-totals" }, LEVEL_ORDER.filter((level) => totals[level]).map((level) =>
    h("span", {}, h("i", { class: `swatch ${level}`, "aria-hidden": "true" }), `${level} ${number(totals[level])}`)));
}

function brush(chart, selection, range) {
  let start = null;
  const at = (event) => {
    const box = chart.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  chart.addEventListener("pointerdown", (event) => {
    start = at(event);
    chart.setPointerCapture(event.pointerId);
  });
  chart.addEventListener("pointermove", (event) => {
    if (start === null) return;
    const now = at(event);
    selection.setAttribute("x", Math.min(start, now) * WIDTH);
    selection.setAttribute("width", Math.abs(now - start) * WIDTH);
  });
  chart.addEventListener("pointerup", (event) => {
    if (start === null) return;
    const [low, high] = [start, at(event)].sort((a, b) => a - b);
    start = null;
    const time = (share) => range.from + share * (range.to - range.from);
    if (high - low > 0.005) setAbsolute(time(low), time(high));
  });
}
