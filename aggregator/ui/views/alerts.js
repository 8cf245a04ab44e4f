// Alerts: what is active, the health of the rules, silences.

import { alertmanager, prom } from "../api.js";
import { empty, h, labelText, link, table } from "../dom.js";
import { ago, dateTime, duration, number } from "../format.js";
import { panel } from "../panel.js";
import { read, update } from "../router.js";
import { byUrgency, severity, tag } from "../severity.js";
import { silenceForm } from "../silenceform.js";

export default function alerts(main) {
  const filter = h("input", {
    type: "search", "data-search": true, "aria-label": "Filter alerts", placeholder: "filter alerts by name or label  ( / )",
    value: read().params.get("filter") ?? "",
    oninput: () => { update({ filter: filter.value }, { quiet: true }); active.refresh(); },
  });
  const formHost = h("div", {});
  const openForm = (labels) => {
    formHost.replaceChildren(silenceForm(labels, { onDone: () => { formHost.replaceChildren(); silences.refresh(); active.refresh(); } }));
    formHost.scrollIntoView({ block: "center" });
    formHost.querySelector("input")?.focus();
  };
  const active = panel("Active alerts", (context) => loadAlerts(context, filter.value, openForm), { tools: filter });
  const silences = panel("Silences", (context) => loadSilences(context, () => silences.refresh()), {
    tools: h("button", { type: "button", onclick: () => openForm({}) }, "new silence"),
  });
  const rules = panel("Rules", loadRules);
  main.append(active.element, formHost, silences.element, rules.element);
  // A link in a mail brings the labels of its alert.
  const wanted = read().params.get("silence");
  if (wanted) openForm(Object.fromEntries(new URLSearchParams(wanted)));
  const refresh = () => Promise.all([active, silences, rules].map((one) => one.refresh()));
  refresh();
  return { refresh, update: refresh, stop: () => [active, silences, rules].forEach((one) => one.stop()) };
}

const keyOf = (labels) => JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));

async function loadAlerts({ signal, note }, filter, openForm) {
  const [fromRules, fromManager] = await Promise.allSettled([prom.alerts({ signal }), alertmanager.alerts({ signal })]);
  if (fromRules.status === "rejected") throw fromRules.reason;
  const notified = new Map((fromManager.value ?? []).map((alert) => [keyOf(alert.labels), alert]));
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const all = fromRules.value.alerts;
  const wanted = all.filter((alert) => words.every((word) => labelText(alert.labels).toLowerCase().includes(word)));
  wanted.sort(byUrgency);
  note(`${wanted.length} of ${all.length}`);
  if (!all.length) return empty("No rule has an active alert.", "Not even the Watchdog, which always fires: look at the rules below.");
  const columns = [{ name: "Severity" }, { name: "State" }, { name: "Alert" }, { name: "What" }, { name: "Value", class: "num" }, { name: "Since", class: "num" }, { name: "" }];
  return table(columns, wanted.map((alert) => alertRow(alert, notified.get(keyOf(alert.labels)), openForm)), { class: "wide-4" });
}

function alertRow(alert, notified, openForm) {
  const { alertname, severity: level, ...labels } = alert.labels;
  const silenced = notified?.status?.silencedBy?.length > 0;
  const inhibited = notified?.status?.inhibitedBy?.length > 0;
  const receivers = notified?.receivers?.map(({ name }) => name).join(", ");
  return [
    severity(level),
    [tag(alert.state, alert.state === "firing" ? "critical" : "warning"), silenced && tag("silenced"), inhibited && tag("inhibited")],
    h("strong", {}, alertname),
    [h("div", {}, alert.annotations.summary ?? ""),
      alert.annotations.description && h("div", { class: "dim" }, alert.annotations.description),
      h("div", { class: "dim labels" }, labelText(labels), receivers && ` → ${receivers}`),
      alert.annotations.runbook_url && link(alert.annotations.runbook_url, "runbook")],
    number(alert.value),
    h("span", { title: dateTime(Date.parse(alert.activeAt)) }, duration(Date.now() - Date.parse(alert.activeAt))),
    h("button", { type: "button", onclick: () => openForm(alert.labels) }, "silence"),
  ];
}

async function loadSilences({ signal, note }, onDone) {
  const all = await alertmanager.silences({ signal });
  const states = { active: 0, pending: 1, expired: 2 };
  const recent = all.filter(({ status, endsAt }) => status.state !== "expired" || Date.now() - Date.parse(endsAt) < 86_400_000);
  recent.sort((a, b) => states[a.status.state] - states[b.status.state] || Date.parse(a.endsAt) - Date.parse(b.endsAt));
  note(`${recent.filter(({ status }) => status.state === "active").length} active`);
  if (!recent.length) return h("p", { class: "dim pad" }, "No silences. A silence mutes notifications of the alerts it matches; the alerts stay visible.");
  const columns = [{ name: "State" }, { name: "Matches" }, { name: "Why" }, { name: "By" }, { name: "Ends", class: "num" }, { name: "" }];
  return table(columns, recent.map((silence) => [
    tag(silence.status.state, silence.status.state === "active" ? "warning" : "none"),
    h("code", {}, silence.matchers.map(matcherText).join(", ")),
    silence.comment, silence.createdBy,
    h("span", { title: dateTime(Date.parse(silence.endsAt)) }, silence.status.state === "expired" ? ago(Date.parse(silence.endsAt)) : `in ${duration(Date.parse(silence.endsAt) - Date.now())}`),
    silence.status.state !== "expired" && expireButton(silence.id, onDone),
  ]));
}

function expireButton(id, onDone) {
  const button = h("button", {
    type: "button",
    onclick: async () => {
      button.disabled = true;
      try {
        await alertmanager.expire(id);
        onDone();
      } catch (error) {
        button.textContent = `failed: ${error.message}`;
      }
    },
  }, "expire");
  return button;
}

function matcherText({ name, value, isRegex, isEqual = true }) {
  const operator = isRegex ? (isEqual ? "=~" : "!~") : isEqual ? "=" : "!=";
  return `${name}${operator}${JSON.stringify(value)}`;
}

async function loadRules({ signal, note }) {
  const { groups, repositories = [], problems = [] } = await prom.rules({ signal });
  const rules = groups.flatMap((group) => group.rules.map((rule) => ({ group, rule })));
  const failing = rules.filter(({ rule }) => rule.health === "err");
  note(`${rules.length} in ${groups.length} groups, ${failing.length} failing`);
  const sources = [refusedFiles(problems), ...repositories.map(repository)];
  if (!rules.length) return [...sources, empty("No rules are loaded.", "Name rule files with --rules, or in the configuration under rules.")];
  const order = { err: 0, unknown: 1, ok: 2 };
  rules.sort((a, b) => order[a.rule.health] - order[b.rule.health]);
  const columns = [{ name: "Health" }, { name: "Rule" }, { name: "Group" }, { name: "Expression" }, { name: "State" }, { name: "Evaluated", class: "num" }, { name: "Took", class: "num" }];
  return [...sources, table(columns, rules.map(({ group, rule }) => [
    rule.health === "ok" ? tag("✔ ok", "ok") : tag(`${rule.health === "err" ? "✖" : "?"} ${rule.health}`, rule.health === "err" ? "critical" : "none"),
    [h("strong", {}, rule.name), rule.lastError && h("div", { class: "failure" }, rule.lastError)],
    h("span", { title: group.file }, group.name),
    h("code", { class: "clip", title: rule.query }, rule.query),
    rule.type === "alerting" ? rule.state : "records",
    ago(Date.parse(rule.lastEvaluation)),
    duration(rule.evaluationTime * 1000),
  ]), { class: "wide-4" })];
}

const problemLine = ({ file, line, message }) => h("div", {}, h("code", {}, line ? `${file}:${line}` : file), ` ${message}`);

// What the last reload refused; the rules before it are in force.
function refusedFiles(problems) {
  if (!problems.length) return null;
  return h("div", { class: "failure pad" }, "✖ The rule files are refused; the rules before them stay in force.", problems.map(problemLine));
}

// A repository that rules come from: what of it is in force, and what is wrong with it.
function repository({ name, url, branch, revision, files, seen_at_ms: seen, newest_revision: newest, problems, error }) {
  const short = (id) => (id ? id.slice(0, 10) : "nothing");
  const well = !error && !problems.length;
  return h("div", { class: "pad" },
    h("div", {}, tag(well ? "✔ git" : "✖ git", well ? "ok" : "critical"), " ", h("strong", {}, name), ` ${url}${branch ? ` (${branch})` : ""}: `,
      h("code", { title: revision ?? "" }, short(revision)), ` in force, ${number(files)} files`, seen && `, seen ${ago(seen)}`),
    error && h("div", { class: "failure" }, `cannot be fetched: ${error}`),
    problems.length > 0 && h("div", { class: "failure" }, `revision ${short(newest)} is refused:`, problems.map(problemLine)));
}
