// One host: what it is, its alerts, its graphs by section, its logs, all in one time range.

import { bellwether, loki, prom } from "../api.js";
import { chartPanel } from "../chartpanel.js";
import { empty, h, replace, table } from "../dom.js";
import { ago, bytes, duration, number } from "../format.js";
import { logRows } from "../logrows.js";
import { panel } from "../panel.js";
import { hostSections } from "../queries.js";
import { keepRange } from "../router.js";
import { hostState, severity } from "../severity.js";
import { current } from "../timerange.js";

const LINES = 50;

export default function host(main, address) {
  const instance = address.parts[0] ?? "";
  const selector = `instance=${JSON.stringify(instance)}`;
  const facts = h("div", { class: "facts" });
  const alerts = panel("Alerts of this host", (context) => loadAlerts(context, instance));
  const sections = hostSections(instance).map(section);
  const logs = panel("Logs of this host", (context) => loadLogs(context, selector), {
    tools: h("a", { href: keepRange("logs", [], { q: `{${selector}}` }) }, "search"),
  });
  const contents = h("nav", { class: "contents", "aria-label": "Sections" },
    sections.map(({ id, title }) => h("button", { type: "button", class: "quiet", onclick: () => document.getElementById(id)?.scrollIntoView() }, title)));
  const board = [facts, contents, alerts.element, ...sections.map(({ element }) => element), logs.element];
  const stranger = empty(`No host is called “${instance}”.`, "No agent has reported by this name, and no metric or log line in this time range has it as its instance.",
    h("a", { href: keepRange("overview") }, "all hosts"));
  main.append(
    h("div", { class: "title" }, h("h1", {}, instance), facts, contents), stranger,
    alerts.element, ...sections.map(({ element }) => element), logs.element);
  const panels = [alerts, logs, ...sections.flatMap(({ panels: list }) => list)];
  const show = (isKnown) => {
    stranger.hidden = isKnown;
    board.forEach((element) => (element.hidden = !isKnown));
  };
  show(true);
  let isKnown = false;
  let isStopped = false;
  async function refresh() {
    isKnown ||= await isHost(instance);
    if (isStopped) return;
    show(isKnown);
    if (isKnown) await Promise.all([drawFacts(facts, instance), ...panels.map((one) => one.refresh())]);
  }
  refresh();
  function stop() {
    isStopped = true;
    panels.forEach((one) => one.stop());
  }
  return { refresh, update: refresh, stop };
}

// Whether there is anything of this host. What cannot be asked counts as there.
async function isHost(instance) {
  const is = (name) => (name.instance ?? name) === instance;
  const has = (ask) => ask.catch(() => [{ instance }]).then((names) => names?.some?.(is) || Promise.reject());
  const range = current();
  // The first that knows it is enough.
  const asked = [bellwether.hosts(), prom.values("instance", null, { range }), loki.values("instance", range)];
  return Promise.any(asked.map(has)).catch(() => false);
}

function section({ id, title, charts }) {
  const panels = charts.map(chartPanel);
  const element = h("section", { id, class: "section" }, h("h2", { class: "section-title" }, title),
    h("div", { class: "grid" }, panels.map((one) => one.element)));
  return { id, title, element, panels };
}

async function drawFacts(element, instance) {
  const matcher = `instance=${JSON.stringify(instance)}`;
  const one = async (query) => (await prom.query(query)).data.result[0];
  const tried = await Promise.allSettled([
    bellwether.hosts(),
    one(`node_uname_info{${matcher}}`),
    one(`time() - node_boot_time_seconds{${matcher}}`),
    one(`count(node_cpu_seconds_total{${matcher},mode="idle"})`),
    one(`node_memory_MemTotal_bytes{${matcher}}`),
  ]);
  const [hosts, uname, uptime, cpus, memory] = tried.map(({ value }) => value);
  const known = hosts?.find?.((candidate) => candidate.instance === instance);
  const facts = [
    known && hostState(known.state),
    known && known.state !== "up" && retireButton(instance),
    known && `seen ${ago(known.last_seen_ms)}`,
    known?.version && `agent ${known.version}`,
    uname && `${uname.metric.sysname} ${uname.metric.release} ${uname.metric.machine}`,
    cpus && `${number(cpus.value[1])} CPUs`,
    memory && bytes(memory.value[1]),
    uptime && `up ${duration(uptime.value[1] * 1000)}`,
  ];
  replace(element, facts.filter(Boolean).map((fact) => h("span", {}, fact)));
}

function retireButton(instance) {
  const button = h("button", {
    type: "button",
    title: "The host was taken out of service on purpose: forget it, and end its alert",
    onclick: async () => {
      try {
        await bellwether.retire(instance);
        location.hash = keepRange("overview");
      } catch (error) {
        button.textContent = `failed: ${error.message}`;
      }
    },
  }, "retire");
  return button;
}

async function loadAlerts({ signal, note }, instance) {
  const { alerts } = await prom.alerts({ signal });
  const own = alerts.filter((alert) => alert.labels.instance === instance && alert.labels.severity !== "none");
  note(`${own.length}`);
  if (!own.length) return h("p", { class: "all-well" }, "✔ None.");
  return table([{ name: "Severity" }, { name: "Alert" }, { name: "What" }, { name: "Since", class: "num" }], own.map((alert) => [
    severity(alert.labels.severity),
    [h("a", { href: keepRange("alerts", [], { filter: alert.labels.alertname }) }, alert.labels.alertname), alert.state === "pending" && h("span", { class: "dim" }, " pending")],
    alert.annotations.summary ?? "", duration(Date.now() - Date.parse(alert.activeAt))]));
}

async function loadLogs({ signal }, selector) {
  const data = await loki.range(`{${selector}}`, current(), { limit: LINES, direction: "backward" }, { signal });
  const rows = logRows(data.result);
  return rows.length ? h("div", { class: "log-list" }, rows.map((row) => row.element())) :
    empty("No log lines of this host in this time range.", "Widen the range, or name the files to follow in the agent's configuration.");
}
