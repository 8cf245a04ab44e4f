// Status of this server: what comes in, what was refused and why, what the stores hold, what is sent on.

import { bellwether, prom } from "../api.js";
import { chartPanel } from "../chartpanel.js";
import { h, table } from "../dom.js";
import { ago, bytes, dateTime, number } from "../format.js";
import { panel } from "../panel.js";
import { REFUSED, STATUS_CHARTS } from "../queries.js";
import { current } from "../timerange.js";

export default function status(main) {
  const server = panel("Server", loadServer);
  const stores = panel("Stores", loadStores);
  const refused = panel("Refused in this time range", loadRefused);
  const packs = panel("Rule packs", loadPacks);
  const sending = panel("Sent on", loadSending);
  const charts = STATUS_CHARTS.map(chartPanel);
  main.append(server.element, stores.element, sending.element, refused.element, packs.element, h("div", { class: "grid" }, charts.map((one) => one.element)));
  const panels = [server, stores, sending, refused, packs, ...charts];
  const refresh = () => Promise.all(panels.map((one) => one.refresh()));
  refresh();
  return { refresh, update: refresh, stop: () => panels.forEach((one) => one.stop()) };
}

async function loadServer({ signal }) {
  const { version, started_ms: started, metrics, logs, ...rest } = await bellwether.status({ signal });
  const others = Object.entries(rest).filter(([, value]) => typeof value !== "object");
  return h("dl", { class: "facts-list" },
    fact("Version", version), fact("Started", started && `${dateTime(started)} (${ago(started)})`), others.map(([name, value]) => fact(title(name), shown(name, value))));
}

async function loadStores({ signal }) {
  const { metrics, logs } = await bellwether.status({ signal });
  const store = (name, figures) => h("div", { class: "store" }, h("h3", {}, name),
    h("dl", { class: "facts-list" }, Object.entries(figures ?? {}).filter(([key]) => key !== "damage").map(([key, value]) => fact(title(key), shown(key, value)))),
    (figures?.damage ?? []).map((line) => h("p", { class: "failure" }, `✖ set aside as damaged: ${line}`)));
  return h("div", { class: "grid two" }, store("Metrics", metrics), store("Logs", logs));
}

async function loadPacks({ signal }) {
  const packs = await bellwether.packs({ signal });
  const state = ({ on, mode }) => `${on ? "✔ on" : "off"}${mode === "auto" ? "" : ", configured"}`;
  packs.sort((a, b) => b.on - a.on || a.name.localeCompare(b.name));
  return table([{ name: "Pack" }, { name: "Watches" }, { name: "State" }, { name: "Alerts", class: "num" }, { name: "Goes on with" }],
    packs.map((pack) => [pack.name, pack.title, state(pack), number(pack.alerts), h("span", { class: "labels" }, pack.when ?? "always")]), { class: "packs" });
}

const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value ?? "–"));
const title = (key) => key.replace(/_(ms|bytes)$/, "").replaceAll("_", " ");

function shown(key, value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "object" && "start" in value) return `${dateTime(value.start)} … ${dateTime(value.end)}`;
  if (typeof value === "object") return JSON.stringify(value);
  if (key.endsWith("bytes")) return bytes(value);
  if (key.endsWith("_ms") && value > 1e11) return dateTime(value);
  return typeof value === "number" ? number(value) : String(value);
}

async function loadSending({ signal }) {
  const { remote_write: sending } = await bellwether.status({ signal });
  if (!sending) return h("p", { class: "dim pad" }, "Nothing: no endpoint is configured under remote_write.");
  const rows = sending.endpoints.map((one) => [one.name, number(one.pending_samples), `${number(Math.round(one.lag_seconds))} s`,
    number(one.sent_samples), number(one.failed_samples), number(one.dropped_samples), one.stored_ms ? ago(one.stored_ms) : "–", one.failure || "–"]);
  return table([{ name: "Endpoint" }, { name: "Waiting", class: "num" }, { name: "Behind", class: "num" }, { name: "Taken", class: "num" },
    { name: "Refused", class: "num" }, { name: "Dropped", class: "num" }, { name: "Last taken" }, { name: "Last failure" }], rows);
}

async function loadRefused({ signal }) {
  const range = current();
  const width = `${Math.max(60, Math.round((range.to - range.from) / 1000))}s`;
  const found = await Promise.all(Object.entries(REFUSED).map(async ([what, query]) => {
    const { data } = await prom.query(query.replaceAll("$range", width), range.to, { signal });
    return data.result.map(({ metric, value }) => ({ what, ...metric, count: Number(value[1]) }));
  }));
  const rows = found.flat().filter(({ count }) => count > 0).sort((a, b) => b.count - a.count);
  if (!rows.length) return h("p", { class: "all-well" }, "✔ Nothing was refused.");
  return table([{ name: "Reason" }, { name: "Protocol" }, { name: "What" }, { name: "Count", class: "num" }],
    rows.map(({ what, protocol, reason, count }) => [reason ?? "–", protocol ?? "–", what, number(Math.round(count))]));
}
