// Fields of the lines that a query finds, with their most frequent values counted over the whole
// range: a click asks for the value alone, with Alt it leaves it out.

import { h } from "./dom.js";
import { number, percent } from "./format.js";

const OPEN_AT_FIRST = ["detected_level", "level", "service_name"];
// What no stage of the query extracts can only be filtered by after the parser that finds it.
const PARSERS = ["json", "logfmt"];

// Fields that tell lines apart come first, then by name.
export function ordered(fields, lines) {
  const isUseful = ({ distinct }) => (distinct > 1 && distinct < lines * 0.5 ? 0 : 1);
  return [...fields].sort((a, b) => isUseful(a) - isUseful(b) || a.name.localeCompare(b.name));
}

export function facets({ fields, lines }, { onFilter, open }) {
  return ordered(fields, lines).map((field) =>
    h("details", { "data-name": field.name, open: open.size ? open.has(field.name) : OPEN_AT_FIRST.includes(field.name) },
      h("summary", { title: about(field) }, field.name, h("span", { class: "dim" }, ` ${field.exact ? "" : "≥ "}${number(field.distinct)}`)),
      field.values.map(({ value, lines: count }) => button(field, value, count, onFilter))));
}

const about = ({ source, exact }) => `${{ stream: "label of the stream", metadata: "structured metadata", parsed: "extracted by the query" }[source] ?? `found in the lines (${source})`}${exact ? "" : "; counted in a part of the lines"}`;

function button(field, value, count, onFilter) {
  const total = field.total ?? count;
  return h("button", {
    type: "button",
    class: "quiet facet",
    title: `${field.name}=${value}\n${count} lines${field.exact ? "" : " of those looked at"}\nclick: only these, Alt+click: without these`,
    onclick: (event) => onFilter(field.name, value, !event.altKey, PARSERS.includes(field.source) ? field.source : undefined),
  }, h("span", {}, value), h("span", { class: "dim" }, total ? percent((100 * count) / total) : number(count)));
}
