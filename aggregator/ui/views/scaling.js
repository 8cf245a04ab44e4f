// Scaling: every policy with its last decision, the reason, and what became of it.

import { bellwether } from "../api.js";
import { empty, h, table } from "../dom.js";
import { ago, dateTime, number, seconds } from "../format.js";
import { panel } from "../panel.js";
import { tag } from "../severity.js";

// What the server's codes say to people.
const REASONS = {
  metric: "as the checks propose",
  stabilised: "held: the proposals of the stabilisation window do not agree yet",
  rate_limited: "held back by the limit on how fast it may move",
  cooldown_out: "held: it has grown a moment ago",
  cooldown_in: "held: it has shrunk a moment ago",
  current_unknown: "held: the current size is unknown",
  no_data_hold: "held: a check has no usable data, and missing data never shrink anything",
  fallback: "data have been missing for so long that the fallback size applies",
  below_min: "raised to the floor in force",
  paused: "paused",
  paused_in: "may grow only",
  paused_out: "may shrink only",
};

export default function scaling(main) {
  const policies = panel("Policies", load);
  main.append(policies.element);
  policies.refresh();
  return { refresh: policies.refresh, update: policies.refresh, stop: policies.stop };
}

async function load({ signal, note }) {
  const all = await bellwether.scaling({ signal });
  note(`${all.length}`);
  if (!all.length) {
    return empty("No scaling policy is loaded.",
      "A policy is a YAML file beside the rules: it names a query, a target and a webhook.",
      h("code", {}, "bellwether serve --scaling policies/  with a copy of  rules/scaling/example.yaml  as a start"));
  }
  return all.map(card);
}

function card(policy) {
  const desired = policy.desired ?? policy.current;
  const isDry = policy.mode === "dry_run";
  const change = policy.current === null || policy.current === undefined ? "" : desired > policy.current ? (isDry ? "▲ would grow" : "▲ growing") : desired < policy.current ? (isDry ? "▼ would shrink" : "▼ shrinking") : "＝ steady";
  return h("article", { class: "card" },
    h("header", {}, h("h3", {}, policy.policy ?? policy.name), tag((policy.mode ?? "enforce").replace("_", " "), policy.mode === "enforce" ? "ok" : "warning"),
      h("span", { class: "dim" }, change)),
    h("div", { class: "sizes" },
      size("current", policy.current), size("desired", desired), size("min", policy.min), size("max", policy.max), gauge(policy)),
    h("p", {}, REASONS[policy.reason] ?? policy.reason ?? "no decision yet", policy.last_decision_ms ? h("span", { class: "dim", title: dateTime(policy.last_decision_ms) }, `  ${ago(policy.last_decision_ms)}`) : ""),
    checks(policy.checks ?? []),
    list("Deliveries", policy.deliveries));
}

const size = (name, value) => h("div", { class: "size" }, h("b", {}, number(value)), h("span", {}, name));

const gauge = ({ min, max, current, desired }) =>
  h("meter", { min: String(min ?? 0), max: String(max ?? 1), value: String(desired ?? current ?? 0), "aria-label": "desired size between minimum and maximum" });

function checks(all) {
  if (!all.length) return null;
  const proposal = ({ verdict, proposed, problem }) => (verdict === "size" ? number(proposed) : verdict === "abstains" ? "nothing: abstains" : `nothing: ${problem ?? "no data"}`);
  const columns = [{ name: "Check" }, { name: "Value", class: "num" }, { name: "Target", class: "num" }, { name: "Proposes", class: "num" }, { name: "Age of the sample", class: "num" }];
  return h("details", { open: true }, h("summary", {}, `Checks (${all.length})`),
    table(columns, all.map((check) => [check.name, number(check.value), number(check.target), proposal(check), seconds(check.age_s)])));
}

// Rows of whatever the server tells about a delivery.
function list(title, rows) {
  if (!Array.isArray(rows) || !rows.length) return null;
  rows = rows.map((row) => (typeof row === "object" && row ? row : { status: row }));
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return h("details", {}, h("summary", {}, `${title} (${rows.length})`),
    table(names.map((name) => ({ name: name.replaceAll("_", " ").replace(/ ms$/, "") })), rows.map((row) => names.map((name) => cell(name, row[name])))));
}

function cell(name, value) {
  if (value === null || value === undefined) return "–";
  if (name.endsWith("_ms") && value > 1e11) return h("span", { title: dateTime(value) }, ago(value));
  return typeof value === "object" ? h("code", {}, JSON.stringify(value)) : typeof value === "number" ? number(value) : String(value);
}
