// Labels of the lines that are shown, with their most frequent values: a click asks for the value
// alone, with Alt it leaves it out.

import { h } from "./dom.js";
import { percent } from "./format.js";

const VALUES_MAX = 8;
const OPEN_AT_FIRST = ["detected_level", "level", "service_name"];

// [{name, values: [[value, count]], distinct}], labels that tell lines apart first.
export function count(rows) {
  const byName = new Map();
  for (const { labels } of rows) {
    for (const [name, value] of Object.entries(labels)) {
      const values = byName.get(name) ?? new Map();
      values.set(value, (values.get(value) ?? 0) + 1);
      byName.set(name, values);
    }
  }
  const entries = [...byName].map(([name, values]) => ({
    name,
    distinct: values.size,
    values: [...values].sort((a, b) => b[1] - a[1]).slice(0, VALUES_MAX),
  }));
  const isUseful = ({ distinct }) => (distinct > 1 && distinct < rows.length * 0.8 ? 0 : 1);
  return entries.sort((a, b) => isUseful(a) - isUseful(b) || a.name.localeCompare(b.name));
}

export function facets(rows, { onFilter, open }) {
  return count(rows).map(({ name, values, distinct }) =>
    h("details", { "data-name": name, open: open.size ? open.has(name) : OPEN_AT_FIRST.includes(name) },
      h("summary", {}, name, h("span", { class: "dim" }, ` ${distinct}`)),
      values.map(([value, lines]) =>
        h("button", {
          type: "button",
          class: "quiet facet",
          title: `${name}=${value}\n${lines} of the ${rows.length} lines shown\nclick: only these, Alt+click: without these`,
          onclick: (event) => onFilter(name, value, !event.altKey),
        }, h("span", {}, value), h("span", { class: "dim" }, percent((100 * lines) / rows.length))))));
}
