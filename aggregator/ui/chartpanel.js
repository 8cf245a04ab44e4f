// A panel whose content is a chart of one PromQL expression over the view's time range.

import { prom } from "./api.js";
import { Chart } from "./chart.js";
import { empty, h } from "./dom.js";
import * as format from "./format.js";
import { panel } from "./panel.js";
import { keepRange } from "./router.js";
import { current, stepFor } from "./timerange.js";

const POINTS = 240;

// `unit` names a function of format.js, `by` the label that tells the lines apart.
export function chartPanel({ title, unit, query, by, max }) {
  const chart = new Chart({ format: format[unit], max, label: title, name: (metric) => nameOf(metric, by) });
  const explore = h("a", { href: keepRange("metrics", [], { q: query }), title: "Open in the explorer", "aria-label": `Explore ${title}` }, "⤢");
  let isDrawn = false;
  const { element, refresh, stop } = panel(h("h3", {}, title), async ({ signal }) => {
    const range = current();
    const step = stepFor(range, POINTS);
    const { data } = await prom.range(query, range, step, { signal });
    if (!data.result.length) {
      isDrawn = false;
      return empty("No data in this time range.");
    }
    // The chart must be in the page before it is drawn: its width decides.
    requestAnimationFrame(() => !signal.aborted && chart.draw(sorted(data.result, by), range, step));
    if (isDrawn) return undefined;
    isDrawn = true;
    return chart.element;
  }, { tools: explore, className: "small" });
  return { element, refresh, stop: () => [stop(), chart.destroy()] };
}

// As people count: load1, load5, load15.
const sorted = (matrix, by) =>
  matrix.toSorted((a, b) => nameOf(a.metric, by).localeCompare(nameOf(b.metric, by), undefined, { numeric: true }));

function nameOf(metric, by) {
  const device = metric.device && by !== "device" ? `${metric.device} ` : "";
  return device + (metric[by] ?? metric.__name__ ?? "value");
}
