// Severities and host states: always an icon and a word, never a colour alone.

import { h } from "./dom.js";

const SEVERITIES = { critical: ["✖", 0], page: ["✖", 0], error: ["✖", 1], warning: ["▲", 2], ticket: ["▲", 2], info: ["●", 3], none: ["○", 4] };
const STATES = { up: ["✔", "ok"], lost: ["✖", "critical"], left: ["○", "none"] };

export const rank = (severity) => SEVERITIES[severity]?.[1] ?? 3;

const classOf = (severity) => ({ page: "critical", error: "critical", ticket: "warning" })[severity] ?? (SEVERITIES[severity] ? severity : "info");

export const severity = (name) =>
  h("span", { class: `tag ${classOf(name)}` }, `${SEVERITIES[name]?.[0] ?? "●"} ${name || "unset"}`);

export function hostState(state) {
  const [icon, kind] = STATES[state] ?? ["?", "none"];
  return h("span", { class: `tag ${kind}` }, `${icon} ${state}`);
}

export const tag = (text, kind = "none") => h("span", { class: `tag ${kind}` }, text);
