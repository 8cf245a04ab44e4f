// The metrics explorer: a PromQL box with completion, a graph and a table.

import { prom } from "../api.js";
import { Chart } from "../chart.js";
import { empty, h, replace, seriesName, table } from "../dom.js";
import { dateTime, duration, number, unitOf } from "../format.js";
import { failure } from "../panel.js";
import { read, update } from "../router.js";
import { Completion } from "../complete.js";
import { current, stepFor } from "../timerange.js";

const ROWS_MAX = 1000;
const EXAMPLES = [
  ["Which hosts report", "up"],
  ["CPU use by host, percent", '100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m])))'],
  ["Memory available", "node_memory_MemAvailable_bytes"],
  ["Network traffic by device", 'sum by (instance, device) (rate(node_network_receive_bytes_total{device!="lo"}[5m]))'],
  ["Most series by metric", 'topk(10, count by (__name__) ({__name__=~".+"}))'],
];

export default function metrics(main) {
  const input = h("textarea", {
    rows: "1", spellcheck: "false", autocapitalize: "off", autocomplete: "off", class: "query", "data-search": true,
    "aria-label": "PromQL query", placeholder: "a PromQL expression, such as  up  or  rate(node_cpu_seconds_total[5m])  ( / )",
  });
  const result = h("div", { class: "panel-body" });
  const note = h("span", { class: "panel-note" });
  const tabs = h("div", { class: "tabs", role: "tablist" });
  const form = h("form", { class: "querybar", onsubmit: (event) => { event.preventDefault(); submit(); } },
    h("div", { class: "querybox" }, input), h("button", { class: "primary" }, "Run"));
  main.append(form, h("section", { class: "panel" }, h("header", {}, tabs, note), result));
  const completion = new Completion(input, submit);
  const chart = new Chart({ height: 340, isTall: true, label: "query result", min: null });
  let controller = null;

  function submit() {
    update({ q: input.value.trim() });
  }

  function grow() {
    input.rows = Math.min(8, input.value.split("\n").length);
  }

  async function refresh() {
    const { params } = read();
    const query = params.get("q") ?? "";
    const tab = params.get("tab") === "table" ? "table" : "graph";
    drawTabs(tabs, tab);
    controller?.abort();
    controller = new AbortController();
    const { signal } = controller;
    if (!query) return replace(result, welcome()) && replace(note);
    const started = performance.now();
    try {
      const answer = tab === "table" ? await instant(query, signal) : await graph(query, signal);
      if (signal.aborted) return;
      replace(note, `${answer.count} series, ${duration(performance.now() - started)}${answer.step ? `, step ${duration(answer.step * 1000)}` : ""}`,
        [...(answer.warnings ?? []), ...(answer.infos ?? [])].map((text) => h("span", { class: "caution" }, ` ▲ ${text}`)));
    } catch (error) {
      if (signal.aborted) return;
      replace(note);
      replace(result, failure(error, refresh));
    }
  }

  async function graph(query, signal) {
    const range = current();
    const step = stepFor(range, 360);
    const { data, warnings, infos } = await prom.range(query, range, step, { signal });
    const isDrawable = data.resultType === "matrix" && data.result.some((series) => series.values?.length);
    if (!isDrawable) {
      replace(result, data.result.some((series) => series.histograms) ? empty("These are native histograms.", "Use histogram_quantile() or look at the table.") : nothing());
      return { count: data.result.length, warnings, infos, step };
    }
    chart.format = unitOf(query);
    if (chart.query !== query) chart.shape = null;
    chart.query = query;
    if (chart.element.parentNode !== result) replace(result, chart.element);
    chart.draw(data.result, range, step);
    return { count: data.result.length, warnings, infos, step };
  }

  async function instant(query, signal) {
    const { data, warnings, infos } = await prom.query(query, current().to, { signal });
    const rows = asRows(data);
    replace(result, rows.length ? valueTable(rows) : nothing());
    return { count: rows.length, warnings, infos };
  }

  function fromAddress() {
    const query = read().params.get("q") ?? "";
    if (document.activeElement !== input || input.value.trim() === "") input.value = query;
    grow();
    return refresh();
  }

  input.addEventListener("input", grow);
  fromAddress();
  return { refresh, update: fromAddress, stop: () => [controller?.abort(), completion.close(), chart.destroy()] };
}

function drawTabs(host, tab) {
  replace(host, [["graph", "Graph"], ["table", "Table"]].map(([id, text]) =>
    h("button", { type: "button", role: "tab", "aria-selected": String(id === tab), onclick: () => update({ tab: id === "graph" ? null : id }) }, text)));
}

const nothing = () => empty("No data.", "The expression is valid, but no series has samples here. Widen the range or loosen the matchers.");

const welcome = () =>
  h("div", { class: "empty" },
    h("p", { class: "empty-title" }, "Ask for any metric."),
    h("ul", { class: "examples" }, EXAMPLES.map(([text, query]) =>
      h("li", {}, h("button", { type: "button", class: "quiet", onclick: () => update({ q: query }) }, h("span", {}, text), h("code", {}, query))))));

function asRows({ resultType, result }) {
  if (resultType === "scalar" || resultType === "string") return [[`(${resultType})`, result[1], result[0]]];
  if (resultType === "matrix") return result.map(({ metric, values = [] }) => [seriesName(metric), values.map(([, value]) => value).join(" "), values.at(-1)?.[0]]);
  return result.map(({ metric, value, histogram }) => [seriesName(metric), value ? value[1] : histogramText(histogram[1]), (value ?? histogram)[0]]);
}

const histogramText = ({ count, sum, buckets = [] }) => `count ${number(count)}, sum ${number(sum)}, ${buckets.length} buckets`;

function valueTable(rows) {
  const cut = rows.slice(0, ROWS_MAX);
  return [
    table([{ name: "Series" }, { name: "Value", class: "num" }, { name: "At", class: "num" }],
      cut.map(([name, value, at]) => [h("code", {}, name), value, dateTime(at * 1000)])),
    rows.length > cut.length && h("p", { class: "dim pad" }, `and ${rows.length - cut.length} more rows`),
  ];
}
