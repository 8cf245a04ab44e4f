// Bars of log lines over time, stacked by a label. Dragging over them zooms in.

import { h, svg } from "./dom.js";
import { clock, dateTime, number } from "./format.js";
import { LEVEL_ORDER, levelOf } from "./logrows.js";
import { setAbsolute } from "./timerange.js";

export const BY_LEVEL = "detected_level";
const [WIDTH, HEIGHT] = [1200, 84];
const COLOURS = 8;
const NOTHING = "(none)";

// The server's series as [{name, style, counts}], from the bottom of the stack to its top.
export function stacks({ series, other }, by) {
  if (by === BY_LEVEL) {
    const byLevel = new Map();
    for (const { labels, counts } of series) {
      const level = levelOf(labels);
      const sum = byLevel.get(level) ?? counts.map(() => 0);
      byLevel.set(level, sum.map((value, i) => value + counts[i]));
    }
    return [...LEVEL_ORDER].reverse().filter((level) => byLevel.has(level)).map((level) => ({ name: level, style: level, counts: byLevel.get(level) }));
  }
  const own = series.map(({ labels, counts }, i) => ({ name: labels[by] ?? NOTHING, style: `s${i % COLOURS}`, counts }));
  return other ? [...own, { name: `${other.series} more`, style: "unknown", counts: other.counts }] : own;
}

export function histogram(data, range, by) {
  const stack = stacks(data, by);
  const [start, step] = [Number(data.start) / 1e6, Number(data.step) / 1e6];
  const length = stack[0]?.counts.length ?? 0;
  const totals = Array.from({ length }, (_, k) => stack.reduce((sum, { counts }) => sum + counts[k], 0));
  const highest = Math.max(...totals, 1);
  const x = (time) => ((time - range.from) / (range.to - range.from)) * WIDTH;
  const width = Math.max(1, (step / (range.to - range.from)) * WIDTH - 1);
  const drawn = totals.map((total, k) => {
    if (!total) return null;
    const from = x(start + k * step);
    let y = HEIGHT;
    const parts = stack.filter(({ counts }) => counts[k]).map(({ style, counts }) => {
      const height = (counts[k] / highest) * (HEIGHT - 4);
      y -= height;
      return svg("rect", { class: `bar ${style}`, x: from, y, width, height });
    });
    const names = [...stack].reverse().filter(({ counts }) => counts[k]).map(({ name, counts }) => `${name} ${counts[k]}`).join(", ");
    return svg("g", {}, svg("title", {}, `${dateTime(start + k * step)}: ${total} lines (${names})`),
      svg("rect", { class: "hover", x: from, y: 0, width, height: HEIGHT }), parts);
  });
  const selection = svg("rect", { class: "selection", y: 0, height: HEIGHT, width: 0, x: 0 });
  const sum = totals.reduce((all, total) => all + total, 0);
  const chart = svg("svg", { class: "histogram", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${sum} lines over time` }, drawn, selection);
  brush(chart, selection, range);
  const label = range.to - range.from > 86_400_000 ? (time) => dateTime(time).slice(5, 16) : (time) => clock(time);
  const middle = (range.from + range.to) / 2;
  return h("div", {}, chart, h("div", { class: "ticks" }, [range.from, middle, range.to].map((time) => h("span", {}, label(time)))), legend(stack));
}

function legend(stack) {
  return h("div", { class: "level-totals" }, [...stack].reverse().map(({ name, style, counts }) =>
    h("span", {}, h("i", { class: `swatch ${style}`, "aria-hidden": "true" }), `${name} ${number(counts.reduce((sum, count) => sum + count, 0))}`)));
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
