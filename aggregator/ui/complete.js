// Completion for a PromQL box: metrics with type and help, functions, label names and values.

import { prom } from "./api.js";
import { h, replace } from "./dom.js";

const FUNCTIONS = [
  "abs", "absent", "absent_over_time", "avg", "avg_over_time", "bottomk", "ceil", "changes", "clamp", "clamp_max", "clamp_min", "count",
  "count_over_time", "count_values", "day_of_week", "delta", "deriv", "floor", "group", "histogram_avg", "histogram_count",
  "histogram_fraction", "histogram_quantile", "histogram_sum", "hour", "idelta", "increase", "irate", "label_join", "label_replace",
  "last_over_time", "ln", "log10", "log2", "max", "max_over_time", "min", "min_over_time", "minute", "month", "predict_linear",
  "present_over_time", "quantile", "quantile_over_time", "rate", "resets", "round", "scalar", "sgn", "sort", "sort_desc", "sqrt", "stddev",
  "stddev_over_time", "sum", "sum_over_time", "time", "timestamp", "topk", "vector", "year",
];
const SHOWN_MAX = 14;
const CACHE_MS = 60_000;

const cache = new Map();

async function cached(key, load) {
  const known = cache.get(key);
  if (known && Date.now() - known.at < CACHE_MS) return known.value;
  const value = await load();
  cache.set(key, { value, at: Date.now() });
  return value;
}

// What is being typed at the end of `before`: {kind, prefix, metric?, label?}.
export function contextOf(before) {
  if (/\[[^\]]*$/.test(before)) return null;
  const brace = before.lastIndexOf("{");
  const isInside = brace > before.lastIndexOf("}");
  if (isInside) {
    const inside = before.slice(brace + 1);
    const metric = /([a-zA-Z_:][\w:]*)\s*$/.exec(before.slice(0, brace))?.[1];
    const value = /([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)\s*"([^"]*)$/.exec(inside);
    if (value) return { kind: "value", label: value[1], prefix: value[2], metric };
    const quotes = inside.split('"').length - 1;
    if (quotes % 2) return null;
    return { kind: "label", prefix: /[a-zA-Z_]?\w*$/.exec(inside)[0], metric };
  }
  const grouping = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)$/.exec(before);
  if (grouping) return { kind: "label", prefix: /\w*$/.exec(grouping[1])[0] };
  const prefix = /[a-zA-Z_:][\w:]*$/.exec(before)?.[0];
  return prefix ? { kind: "name", prefix } : null;
}

async function candidates({ kind, label, metric }) {
  const match = metric ? `{__name__=${JSON.stringify(metric)}}` : undefined;
  if (kind === "label") return (await cached(`labels ${match}`, () => prom.labels(match))).map((text) => ({ text, after: "" }));
  if (kind === "value") return (await cached(`values ${label} ${match}`, () => prom.values(label, match))).map((text) => ({ text, after: "" }));
  const [names, metadata] = await Promise.all([
    cached("names", () => prom.values("__name__")),
    cached("metadata", () => prom.metadata().catch(() => ({}))),
  ]);
  const describe = (name) => metadata[name]?.[0] ?? metadata[name.replace(/_(total|bucket|sum|count)$/, "")]?.[0];
  const metrics = names.map((text) => ({ text, type: describe(text)?.type ?? "metric", help: describe(text)?.help }));
  return [...FUNCTIONS.map((text) => ({ text, type: "function", after: "(" })), ...metrics];
}

// Names that begin with what was typed come first, then those that contain it.
function ranked(all, prefix) {
  const typed = prefix.toLowerCase();
  const place = (text) => text.toLowerCase().indexOf(typed);
  return all.filter(({ text }) => place(text) >= 0 && text !== prefix).sort((a, b) => Math.sign(place(a.text)) - Math.sign(place(b.text)) || a.text.length - b.text.length).slice(0, SHOWN_MAX);
}

export class Completion {
  constructor(input, onSubmit) {
    Object.assign(this, { input, onSubmit, items: [], active: -1, turn: 0 });
    this.list = h("ul", { class: "completion", role: "listbox", hidden: true, id: "completion" });
    input.parentNode.append(this.list);
    input.setAttribute("aria-controls", "completion");
    input.addEventListener("input", () => this.suggest());
    input.addEventListener("keydown", (event) => this.key(event));
    input.addEventListener("blur", () => setTimeout(() => this.close(), 150));
  }

  async suggest() {
    const turn = ++this.turn;
    const context = contextOf(this.input.value.slice(0, this.input.selectionStart));
    if (!context) return this.close();
    let found = [];
    try {
      found = ranked(await candidates(context), context.prefix);
    } catch {
      // Completion is a help only: without it one can still type.
    }
    if (turn !== this.turn) return;
    Object.assign(this, { items: found, context, active: -1 });
    this.draw();
  }

  draw() {
    this.list.hidden = !this.items.length;
    replace(this.list, this.items.map(({ text, type, help }, i) =>
      h("li", { role: "option", "aria-selected": String(i === this.active), onmousedown: (event) => { event.preventDefault(); this.accept(i); } },
        h("span", {}, text), type && h("span", { class: "dim" }, type), help && h("span", { class: "help" }, help))));
  }

  key(event) {
    const isOpen = !this.list.hidden;
    if (event.key === "Enter" && !event.shiftKey && (!isOpen || this.active < 0)) {
      event.preventDefault();
      this.close();
      this.onSubmit();
    } else if (isOpen && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      const by = event.key === "ArrowDown" ? 1 : -1;
      this.active = (this.active + by + this.items.length) % this.items.length;
      this.draw();
    } else if (isOpen && (event.key === "Tab" || event.key === "Enter")) {
      event.preventDefault();
      this.accept(Math.max(0, this.active));
    } else if (isOpen && event.key === "Escape") {
      event.stopPropagation();
      this.close();
    }
  }

  accept(i) {
    const { text, after = "" } = this.items[i];
    const end = this.input.selectionStart;
    const start = end - this.context.prefix.length;
    this.input.setRangeText(text + after, start, end, "end");
    this.close();
    this.input.focus();
  }

  close() {
    this.turn += 1;
    this.items = [];
    this.active = -1;
    this.list.hidden = true;
  }
}
