// Overview: problems first, then every host with its vital signs.

import { bellwether, prom } from "../api.js";
import { empty, h, labelText, link, table } from "../dom.js";
import { ago, bytesPerSecond, duration, percent } from "../format.js";
import { panel } from "../panel.js";
import { FLEET } from "../queries.js";
import { keepRange, read, update } from "../router.js";
import { byUrgency, hostState, severity } from "../severity.js";
import { spark } from "../spark.js";
import { current, stepFor } from "../timerange.js";

const SIGNS = [
  { id: "cpu", name: "CPU", format: percent, top: 100, high: 90 },
  { id: "memory", name: "Memory", format: percent, top: 100, high: 90 },
  { id: "disk", name: "Fullest disk", format: percent, top: 100, high: 90 },
  { id: "network", name: "Network", format: bytesPerSecond },
];
const ROWS_MAX = 500;
const POINTS = 120;
// Beyond this many hosts the small lines are drawn from fewer points.
const LARGE_FLEET = 100;
const POINTS_OF_LARGE_FLEET = 30;

export default function overview(main) {
  // What was loaded last: typing into the filter asks the server nothing.
  let loaded = null;
  const draw = () => drawHosts(loaded, filter.value, hosts.note);
  const filter = h("input", {
    type: "search",
    placeholder: "filter hosts by name or label  ( / )",
    "data-search": true,
    "aria-label": "Filter hosts",
    value: read().params.get("filter") ?? "",
    oninput: () => {
      update({ filter: filter.value }, { quiet: true });
      if (loaded) hosts.show(draw());
    },
  });
  const problems = panel("Problems", loadProblems);
  const hosts = panel("Hosts", async ({ signal }) => {
    loaded = await loadHosts(signal, loaded);
    return draw();
  }, { tools: filter });
  main.append(problems.element, hosts.element);
  const refresh = () => Promise.all([problems.refresh(), hosts.refresh()]);
  refresh();
  return { refresh, update: refresh, stop: () => [problems, hosts].forEach((one) => one.stop()) };
}

async function loadProblems({ signal, note }) {
  const { alerts } = await prom.alerts({ signal });
  const real = alerts.filter((alert) => alert.labels.severity !== "none" && alert.labels.alertname !== "Watchdog");
  real.sort(byUrgency);
  const firing = real.filter((alert) => alert.state === "firing").length;
  note(`${firing} firing, ${real.length - firing} pending`);
  if (!real.length) return h("p", { class: "all-well" }, "✔ Nothing is wrong, as far as the rules can tell.");
  return table(
    [{ name: "Severity" }, { name: "Alert" }, { name: "What" }, { name: "Since", class: "num" }],
    real.slice(0, 50).map((alert) => [
      severity(alert.labels.severity),
      [h("a", { href: keepRange("alerts", [], { filter: alert.labels.alertname }) }, alert.labels.alertname),
        alert.state === "pending" && h("span", { class: "dim" }, " pending")],
      [alert.annotations.summary || labelText(alert.labels, ["alertname", "severity"]), " ",
        alert.annotations.runbook_url && link(alert.annotations.runbook_url, "runbook")],
      duration(Date.now() - Date.parse(alert.activeAt)),
    ]), { class: "wide-3" });
}

// Each sign is asked for by itself: one failing query leaves its own column empty.
async function vitalSigns(range, step, signal) {
  const failures = [];
  const signs = await Promise.all(SIGNS.map(async ({ id }) => {
    try {
      const { data } = await prom.range(FLEET[id], range, step, { signal });
      return [id, new Map(data.result.map(({ metric, values }) => [metric.instance, values]))];
    } catch (error) {
      if (error.name === "AbortError") throw error;
      failures.push(`${id}: ${error.message}`);
      return [id, new Map()];
    }
  }));
  return { signs: Object.fromEntries(signs), failures };
}

// `before` is what was loaded last: how many hosts there are, and since when there are samples,
// decide how far apart the points are.
async function loadHosts(signal, before) {
  const range = current();
  const points = before?.hosts.length > LARGE_FLEET ? POINTS_OF_LARGE_FLEET : POINTS;
  const step = stepFor(before ? filled(range, before.signs) : range, points);
  const [hosts, { signs, failures }] = await Promise.all([listHosts(signal), vitalSigns(range, step, signal)]);
  return { hosts, signs, failures, range };
}

function drawHosts({ hosts, signs, failures, range }, filter, note) {
  if (!hosts.length) {
    return empty("No host has reported yet.",
      "Start an agent that sends here:",
      h("code", {}, `bellwether-agent --server ${location.origin}`),
      "It appears in this list with its first report, a few seconds later.");
  }
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (host) => words.every((word) => `${host.instance} ${host.job} ${host.agent ?? ""} ${host.state} ${labelText(host.labels)}`.toLowerCase().includes(word));
  const wanted = hosts.filter(matches);
  const order = { lost: 0, up: 1, left: 2 };
  wanted.sort((a, b) => (order[a.state] ?? 1) - (order[b.state] ?? 1) || a.instance.localeCompare(b.instance));
  const count = (state) => hosts.filter((host) => host.state === state).length;
  note(`${count("up")} up, ${count("lost")} lost, ${count("left")} left${wanted.length < hosts.length ? `; ${wanted.length} shown` : ""}`);
  const shown = filled(range, signs);
  const columns = [{ name: "State" }, { name: "Host" }, ...SIGNS.map(({ name }) => ({ name, class: "sign" })), { name: "Agent" }, { name: "Last seen", class: "num" }];
  const rows = wanted.slice(0, ROWS_MAX).map((host) => hostRow(host, signs, shown));
  return [failures.map((text) => h("p", { class: "failure" }, `✖ ${text}`)), table(columns, rows, { class: "hosts" })];
}

// The part of the range that has samples: a young server does not squeeze its lines into a corner.
const filled = (range, signs) => ({ ...range, from: Math.max(range.from, earliest(signs)) });

function earliest(signs) {
  const firsts = Object.values(signs).flatMap((byHost) => [...byHost.values()].map((points) => points[0]?.[0] * 1000));
  return Math.min(...firsts.filter(Number.isFinite), Date.now() - 60_000);
}

// The list of agents, or what `up` says where that list is not at hand.
async function listHosts(signal) {
  try {
    return await bellwether.hosts({ signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const { data } = await prom.query("up", Date.now(), { signal });
    return data.result.map(({ metric, value }) => ({ ...metric, labels: metric, state: value[1] === "1" ? "up" : "lost" }));
  }
}

function hostRow(host, signs, range) {
  const open = keepRange("host", [host.instance]);
  const cells = SIGNS.map(({ id, name, format, top, high }) => {
    const points = signs[id].get(host.instance);
    const last = points?.at(-1)?.[1];
    const isHigh = high !== undefined && Number(last) >= high;
    return h("td", { class: "sign" },
      spark(points, { ...range, top, label: `${name} of ${host.instance}` }),
      h("span", { class: isHigh ? "value high" : "value" }, isHigh && "▲ ", format(last)));
  });
  return h("tr", { "data-row": true, tabindex: "0", onclick: (event) => event.target.closest("a") ?? (location.hash = open), onkeydown: (event) => event.key === "Enter" && (location.hash = open) },
    h("td", {}, hostState(host.state)),
    h("td", {}, h("a", { href: open }, host.instance), host.job && h("span", { class: "dim" }, ` ${host.job}`)),
    cells,
    h("td", { class: "dim" }, host.version || "–"),
    h("td", { class: "num" }, ago(host.last_seen_ms)));
}
