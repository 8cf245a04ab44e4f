// Rows of log lines: time, level, line; a click opens all labels with + and − filters.

import { h } from "./dom.js";
import { clock, dateTime } from "./format.js";
import { selectorOf } from "./logquery.js";
import { href } from "./router.js";

const LEVELS = { critical: "✖", fatal: "✖", error: "✖", warn: "▲", warning: "▲", info: "●", debug: "·", trace: "·" };
const CANONICAL = { fatal: "critical", warning: "warn", err: "error", notice: "info" };

export const LEVEL_ORDER = ["critical", "error", "warn", "info", "debug", "trace", "unknown"];

export function levelOf(labels) {
  const level = (labels.detected_level ?? labels.level ?? "unknown").toLowerCase();
  const known = CANONICAL[level] ?? level;
  return LEVEL_ORDER.includes(known) ? known : "unknown";
}

// Loki's streams as rows, newest first. `onFilter(name, value, isWanted)` adds a filter.
export function logRows(streams, { onFilter } = {}) {
  const rows = [];
  for (const { stream, values } of streams ?? []) {
    for (const [nanoseconds, line, extra] of values) {
      const labels = { ...stream, ...(extra?.structuredMetadata ?? extra?.structured_metadata), ...extra?.parsed };
      const address = extra?.id && { id: extra.id, time: nanoseconds, stream: selectorOf(stream) };
      rows.push(new LogRow(nanoseconds, line, labels, onFilter, address));
    }
  }
  return rows.sort((a, b) => (a.nanoseconds < b.nanoseconds ? 1 : a.nanoseconds > b.nanoseconds ? -1 : 0));
}

export class LogRow {
  // `address` names the line for good: its id, its time, its stream.
  constructor(nanoseconds, line, labels, onFilter, address) {
    Object.assign(this, { nanoseconds: BigInt(nanoseconds), line, labels, onFilter, address });
    this.milliseconds = Number(this.nanoseconds / 1_000_000n);
  }

  element() {
    const level = levelOf(this.labels);
    const details = h("div", { class: "log-details", hidden: true });
    const isToday = dateTime(this.milliseconds).slice(0, 10) === dateTime(Date.now()).slice(0, 10);
    const time = isToday ? clock(this.milliseconds, true) : dateTime(this.milliseconds).slice(5);
    const source = this.labels.service_name ?? this.labels.app ?? this.labels.unit ?? this.labels.job ?? "";
    const head = h("div", { class: "log-line" },
      h("time", { title: new Date(this.milliseconds).toISOString() }, time),
      h("span", { class: `level ${level}`, title: level }, `${LEVELS[level] ?? " "} ${level === "unknown" ? "" : level}`),
      h("span", { class: "source" }, source),
      h("span", { class: "text" }, this.line));
    const open = () => {
      if (!details.childElementCount) details.append(this.details());
      details.hidden = !details.hidden;
      row.setAttribute("aria-expanded", String(!details.hidden));
    };
    const row = h("div", {
      class: `log-row ${level}`,
      "data-row": true,
      tabindex: "0",
      role: "button",
      "aria-expanded": "false",
      onclick: (event) => !event.target.closest(".log-details") && !getSelection().toString() && open(),
      onkeydown: (event) => event.key === "Enter" && event.target === row && open(),
    }, head, details);
    return row;
  }

  details() {
    const filter = (name, value, isWanted, text) =>
      this.onFilter && h("button", { type: "button", class: "quiet", title: `${isWanted ? "only" : "without"} ${name}=${value}`, onclick: () => this.onFilter(name, value, isWanted) }, text);
    const rows = Object.entries(this.labels).sort(([a], [b]) => a.localeCompare(b)).map(([name, value]) =>
      h("tr", {}, h("td", { class: "filters" }, filter(name, value, true, "+"), filter(name, value, false, "−")), h("th", { scope: "row" }, name), h("td", {}, value)));
    return h("div", {},
      h("pre", {}, this.line),
      h("table", {}, h("tbody", {},
        h("tr", {}, h("td"), h("th", { scope: "row" }, "time"), h("td", {}, `${new Date(this.milliseconds).toISOString()} (${this.nanoseconds} ns)`)), rows)),
      h("div", { class: "log-acts" },
        h("button", { type: "button", onclick: () => navigator.clipboard?.writeText(this.line) }, "copy line"),
        this.address && h("a", { class: "button", href: href("context", [], this.address), title: "The lines before and after this one in its stream; the address stays" }, "lines around it")));
  }
}
