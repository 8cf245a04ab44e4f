// A small line without axes; its numbers are in the cell beside it.

import { svg } from "./dom.js";

const [WIDTH, HEIGHT] = [96, 22];

// `points` are [seconds, text] pairs of one series; `top` fixes the scale's upper end.
export function spark(points, { from, to, top, label }) {
  const numbers = (points ?? []).map(([time, value]) => [time * 1000, Number(value)]).filter(([, value]) => Number.isFinite(value));
  const highest = top ?? Math.max(...numbers.map(([, value]) => value), 1e-9);
  const x = (time) => (((time - from) / (to - from)) * WIDTH).toFixed(1);
  const y = (value) => (HEIGHT - 1 - (Math.min(value, highest) / highest) * (HEIGHT - 2)).toFixed(1);
  const gap = gapOf(numbers);
  let path = "";
  numbers.forEach(([time, value], i) => {
    const isNew = i === 0 || time - numbers[i - 1][0] > gap;
    path += `${isNew ? "M" : "L"}${x(time)} ${y(value)}`;
  });
  return svg("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, role: "img", "aria-label": label },
    path && svg("path", { d: path, fill: "none" }));
}

// Twice the usual distance of two points is a hole, which stays open.
function gapOf(numbers) {
  const steps = numbers.slice(1).map(([time], i) => time - numbers[i][0]);
  return steps.length ? Math.min(...steps) * 2.5 : Infinity;
}
