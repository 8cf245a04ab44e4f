// The time range of every view: relative (`range=1h`, moving) or absolute (`from`, `to`).

import { h, replace } from "./dom.js";
import { dateTime } from "./format.js";
import { read, update } from "./router.js";

const PRESETS = ["5m", "15m", "30m", "1h", "3h", "6h", "12h", "24h", "2d", "7d", "30d"];
const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
// Where the address says nothing.
let fallback = "30m";
// A server that has just begun would fill a sliver of the usual width.
const [YOUNG_MS, FALLBACK_YOUNG] = [600_000, "5m"];

// Whether the range changed by what is known of the oldest sample.
export function adoptAge(oldestMs) {
  const isYoung = Date.now() - oldestMs < YOUNG_MS && fallback !== FALLBACK_YOUNG;
  if (isYoung) fallback = FALLBACK_YOUNG;
  return isYoung;
}

export function parseDuration(text) {
  const match = /^(\d+(?:\.\d+)?)\s*(s|m|h|d|w)$/.exec((text ?? "").trim());
  return match ? Number(match[1]) * UNITS[match[2]] : null;
}

export function current() {
  const { params } = read();
  const [from, to] = [Number(params.get("from")), Number(params.get("to"))];
  if (params.has("from") && from < to) return { from, to, isRelative: false };
  const width = parseDuration(params.get("range")) ?? parseDuration(fallback);
  const now = Date.now();
  return { from: now - width, to: now, isRelative: true };
}

// A step in seconds that gives a chart about one point for every three pixels.
export const stepFor = (range, points = 300) => Math.max(5, Math.ceil((range.to - range.from) / points / 1000));

export function setAbsolute(from, to) {
  update({ from: Math.floor(from), to: Math.ceil(to), range: null });
}

function shift(factor) {
  const { from, to } = current();
  const by = (to - from) * factor;
  setAbsolute(from + by, Math.min(to + by, Date.now()));
}

function zoomOut() {
  const { from, to, isRelative } = current();
  const width = to - from;
  if (isRelative) {
    const wider = PRESETS.find((preset) => parseDuration(preset) > width) ?? "30d";
    update({ range: wider, from: null, to: null });
  } else {
    setAbsolute(from - width / 2, Math.min(to + width / 2, Date.now()));
  }
}

const localInput = (milliseconds) => {
  const at = new Date(milliseconds);
  return new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
};

function absoluteDialog() {
  const { from, to } = current();
  const fromInput = h("input", { type: "datetime-local", step: "1", value: localInput(from) });
  const toInput = h("input", { type: "datetime-local", step: "1", value: localInput(to) });
  const dialog = h("dialog", { class: "dialog" },
    h("form", { method: "dialog" },
      h("h2", {}, "Absolute time range"),
      h("label", {}, "From", fromInput),
      h("label", {}, "To", toInput),
      h("p", { class: "dim" }, `Times are in your time zone (${Intl.DateTimeFormat().resolvedOptions().timeZone}).`),
      h("div", { class: "actions" },
        h("button", { value: "cancel", formnovalidate: true }, "Cancel"),
        h("button", { value: "apply", class: "primary" }, "Apply"))));
  dialog.addEventListener("close", () => {
    const [start, end] = [Date.parse(fromInput.value), Date.parse(toInput.value)];
    if (dialog.returnValue === "apply" && start < end) setAbsolute(start, end);
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
}

// Draws the picker; called again whenever the address changes.
export function drawPicker(host, { isLive, onLive }) {
  const range = current();
  const selected = range.isRelative ? read().params.get("range") ?? fallback : "absolute";
  const known = PRESETS.includes(selected) || selected === "absolute" ? PRESETS : [selected, ...PRESETS];
  const options = known.map((preset) => h("option", { value: preset, selected: preset === selected }, `last ${preset}`));
  options.push(h("option", { value: "absolute", selected: selected === "absolute" },
    range.isRelative ? "absolute…" : `${dateTime(range.from)} → ${dateTime(range.to)}`));
  const select = h("select", {
    id: "range",
    "aria-label": "Time range",
    onchange: () => (select.value === "absolute" ? absoluteDialog() : update({ range: select.value, from: null, to: null })),
  }, options);
  const button = (text, title, onclick) => h("button", { type: "button", class: "quiet", title, "aria-label": title, onclick }, text);
  replace(host,
    button("◀", "Earlier", () => shift(-0.5)),
    select,
    !range.isRelative && button("✎", "Edit the range", absoluteDialog),
    button("▶", "Later", () => shift(0.5)),
    button("⊖", "Zoom out", zoomOut),
    h("button", {
      type: "button",
      class: isLive ? "live on" : "live",
      "aria-pressed": String(isLive),
      title: "Refresh by itself (.)",
      onclick: onLive,
    }, isLive ? "● live" : "○ paused"));
}
