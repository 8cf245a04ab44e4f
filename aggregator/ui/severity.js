// Severities and host states: always an icon and a word, never a colour alone.

import { h } from "./dom.js";

const SEVERITIES = { critical: ["✖", 0], page: ["✖", 0], error: ["✖", 1], warning: ["▲", 2], ticket: ["▲", 2], info: ["●", 3], none: ["○", 4] };
const STATES = { up: ["✔", "ok"], lost: ["✖", "critical"], left: ["○", "none"] };

const rank = ({ labels }) => SEVERITIES[labels.severity]?.[1] ?? 3;

// Firing before pending, then by severity, then the newest; what never needs anybody comes last.
export function byUrgency(a, b) {
  const stage = (alert) => (alert.labels.severity === "none" ? 2 : alert.state === "firing" ? 0 : 1);
  return stage(a) - stage(b) || rank(a) - rank(b) || Date.parse(b.activeAt) - Date.parse(a.activeAt);
}

const classOf = (severity) => ({ page: "critical", error: "critical", ticket: "warning" })[severity] ?? (SEVERITIES[severity] ? severity : "info");

export const severity = (name) =>
  h("span", { class: `tag ${classOf(name)}` }, `${SEVERITIES[name]?.[0] ?? "●"} ${name || "unset"}`);

export function hostState(state) {
  const [icon, kind] = STATES[state] ?? ["?", "none"];
  return h("span", { class: `tag ${kind}` }, `${icon} ${state}`);
}

export const tag = (text, kind = "none") => h("span", { class: `tag ${kind}` }, text);
