// Log search: plain words or LogQL, a histogram over the whole range, rows, live tail.

import { bellwether, loki } from "../api.js";
import { Chart } from "../chart.js";
import { empty, h, replace } from "../dom.js";
import { duration, number } from "../format.js";
import { BY_LEVEL, histogram } from "../histogram.js";
import { isMetricQuery, toLogql, withFilter } from "../logquery.js";
import { logRows } from "../logrows.js";
import { facets } from "../facets.js";
import { failure } from "../panel.js";
import { read, update } from "../router.js";
import { Tail } from "../tail.js";
import { current, stepFor } from "../timerange.js";

const PAGE = 200;
// Whoever has scrolled further than this is reading.
const READING_PX = 400;
const PREFERRED = ["service_name", "job", "instance", "app"];
// Values counted over the whole range, and fields found in the newest lines.
const COUNTED_LINES = 200_000;
const DETECTED_LINES = 1000;

export default function logs(main) {
  const input = h("input", {
    type: "text", class: "query", "data-search": true, spellcheck: "false", autocapitalize: "off", autocomplete: "off",
    "aria-label": "Log query", placeholder: 'words, "a phrase", -without, /expression/   or LogQL:  {job="api"} |= "timeout"   ( / )',
  });
  const translated = h("code", { class: "translated" });
  const bars = h("div", { class: "panel-body", "aria-busy": "true" });
  const bySelect = h("select", { "aria-label": "Stack the bars by", onchange: () => update({ by: bySelect.value === BY_LEVEL ? null : bySelect.value }) });
  const byLine = h("label", { class: "bars-by" }, "by", bySelect);
  const list = h("div", { class: "log-list" });
  const sidebar = h("aside", { "aria-label": "Fields of the lines found" });
  const note = h("span", { class: "panel-note" });
  const tailButton = h("button", { type: "button", onclick: () => update({ tail: read().params.has("tail") ? null : "1" }) });
  const pauseButton = h("button", { type: "button", hidden: true, onclick: () => pause(!tail?.isPaused) });
  const older = h("button", { type: "button", hidden: true, onclick: () => loadOlder() }, "older lines");
  const form = h("form", { class: "querybar", onsubmit: (event) => { event.preventDefault(); update({ q: input.value.trim() }); } },
    h("div", { class: "querybox" }, input, translated), h("button", { class: "primary" }, "Search"), tailButton, pauseButton);
  main.append(form, h("section", { class: "panel" }, byLine, bars), h("section", { class: "panel" }, h("header", {}, h("h2", {}, "Lines"), note), h("div", { class: "log-body" }, sidebar, h("div", {}, list, older))));

  const chart = new Chart({ height: 260, isTall: true, label: "query result" });
  let [tail, controller, rows, shownQuery, hasFailed] = [null, null, [], null, false];

  const onFilter = (name, value, isWanted, parser) => update({ q: withFilter(shownQuery, name, value, isWanted, parser) });

  function pause(isPaused) {
    tail?.pause(isPaused);
    replace(pauseButton, isPaused ? "▶ continue" : "❚❚ pause");
  }

  function stopTail() {
    tail?.stop();
    tail = null;
    pauseButton.hidden = true;
  }

  async function refresh() {
    if (tail) return;
    controller?.abort();
    const mine = (controller = new AbortController());
    const { signal } = mine;
    const { params } = read();
    hasFailed = false;
    try {
      const query = await resolveQuery(params.get("q") ?? "", signal);
      if (signal.aborted) return;
      shownQuery = query;
      replace(translated, query && query !== input.value.trim() ? query : "");
      if (!query) return drawNothing();
      if (params.has("tail") && !isMetricQuery(query)) return startTail(query);
      await (isMetricQuery(query) ? drawMetric(query, signal) : Promise.all([drawBars(query, signal), drawLines(query, signal), drawFacets(query, signal)]));
    } catch (error) {
      if (signal.aborted) return;
      // Bars of the same query fail with it, or soon will, and are those of another one: it is told once.
      hasFailed = true;
      replace(list, failure(error, refresh));
      replace(note);
      replace(bars);
      older.hidden = true;
    }
  }

  function drawNothing() {
    rows = [];
    drawSidebar(null);
    drawChoices([]);
    replace(bars);
    replace(note);
    older.hidden = true;
    replace(list, empty("No logs in this time range.", "Agents follow the files and journals named in their configuration; widen the range if they stopped."));
  }

  async function drawBars(query, signal) {
    try {
      const step = stepFor(current(), 100);
      const range = aligned(current(), step * 1000);
      const by = read().params.get("by") ?? BY_LEVEL;
      const data = await bellwether.histogram(query, range, { step: String(step), by }, { signal });
      if (!signal.aborted) replace(bars, histogram(data, range, by));
    } catch (error) {
      if (!signal.aborted && !hasFailed) replace(bars, failure(error, refresh));
    } finally {
      bars.setAttribute("aria-busy", "false");
    }
  }

  async function drawLines(query, signal) {
    const started = performance.now();
    const data = await loki.range(query, current(), { limit: PAGE, direction: "backward" }, { signal });
    if (signal.aborted) return;
    const found = logRows(data.result, { onFilter });
    const scanned = data.stats?.summary?.totalBytesProcessed;
    replace(note, `${found.length}${found.length >= PAGE ? "+" : ""} lines in ${duration(performance.now() - started)}${scanned ? `, ${number(scanned)}B read` : ""}`);
    if (isBeingRead() && list.dataset.query === query) return;
    rows = found;
    list.dataset.query = query;
    older.hidden = found.length < PAGE;
    if (!found.length) return replace(list, empty("No line matches.", "Widen the time range, or take a word away."));
    replace(list, found.map((row) => row.element()));
  }

  // Labels and metadata are counted over the whole range; what is only in the text of lines, in the
  // newest ones. Either may fail without the other.
  async function drawFacets(query, signal) {
    const ask = (extra) => bellwether.facets(query, current(), extra, { signal }).catch(() => null);
    const [counted, detected] = await Promise.all([ask({ line_limit: COUNTED_LINES }), ask({ detect: "true", line_limit: DETECTED_LINES })]);
    if (signal.aborted || tail) return;
    const withTotal = ({ fields, lines }) => fields.map((field) => ({ ...field, total: lines }));
    const known = counted ? withTotal(counted) : [];
    const names = new Set(known.map(({ name }) => name));
    const found = detected ? withTotal(detected).filter(({ name }) => !names.has(name)) : [];
    drawChoices(known.filter(({ source }) => source !== "parsed").map(({ name }) => name));
    const fields = [...known, ...found.map((field) => ({ ...field, exact: false }))];
    drawSidebar(fields.length ? { fields, lines: counted?.lines ?? detected?.lines ?? 0 } : null);
  }

  function drawSidebar(found) {
    const open = new Set([...sidebar.querySelectorAll("details[open]")].map((details) => details.dataset.name));
    replace(sidebar, found && facets(found, { onFilter, open }));
    sidebar.className = found ? "facets" : "";
  }

  // What the bars may be stacked by.
  function drawChoices(names) {
    const by = read().params.get("by") ?? BY_LEVEL;
    const all = [...new Set([BY_LEVEL, by, ...names])];
    if (document.activeElement !== bySelect) replace(bySelect, all.map((name) => h("option", { value: name, selected: name === by }, name === BY_LEVEL ? "level" : name)));
    byLine.hidden = !names.length;
  }

  // Lines that somebody looks at must not be pulled away by a refresh.
  function isBeingRead() {
    const isOpen = list.querySelector("[aria-expanded=true]") !== null;
    return isOpen || list.contains(document.activeElement) || window.scrollY > READING_PX;
  }

  async function loadOlder() {
    const last = rows.at(-1);
    if (!last) return;
    try {
      const range = { from: current().from, to: last.milliseconds };
      const data = await loki.range(shownQuery, range, { limit: PAGE, direction: "backward", end: String(last.nanoseconds) });
      const found = logRows(data.result, { onFilter });
      rows.push(...found);
      older.hidden = found.length < PAGE;
      list.append(...found.map((row) => row.element()));
    } catch (error) {
      list.append(failure(error));
    }
  }

  async function drawMetric(query, signal) {
    const range = current();
    const step = stepFor(range, 200);
    const data = await loki.range(query, range, { step: String(step) }, { signal });
    if (signal.aborted) return;
    replace(note, `${data.result.length} series`);
    const isDrawable = data.result.some(({ values }) => values?.length);
    replace(bars, isDrawable ? chart.element : empty("No data.", "The query is valid, but it found nothing to count in this time range. Widen the range or loosen the filters."));
    if (isDrawable) chart.draw(data.result, range, step);
    rows = [];
    drawSidebar(null);
    drawChoices([]);
    older.hidden = true;
    replace(list);
  }

  function startTail(query) {
    rows = [];
    drawSidebar(null);
    replace(list);
    older.hidden = true;
    pauseButton.hidden = false;
    tail = new Tail(list, query, { onState: (text) => replace(note, text), onFilter });
    pause(false);
    drawBars(query, new AbortController().signal);
  }

  function fromAddress() {
    const { params } = read();
    stopTail();
    if (document.activeElement !== input) input.value = params.get("q") ?? "";
    replace(tailButton, params.has("tail") ? "■ stop tail" : "▶ live tail");
    return refresh();
  }

  // Reading a line while following it moves away: scrolling down pauses.
  const onScroll = () => tail && !tail.isPaused && window.scrollY > READING_PX && pause(true);
  window.addEventListener("scroll", onScroll, { passive: true });
  fromAddress();
  return { refresh, update: fromAddress, stop: () => [stopTail(), controller?.abort(), chart.destroy(), window.removeEventListener("scroll", onScroll)] };
}

// Bars that begin at multiples of their width keep their heights while the range moves.
const aligned = ({ from, to }, width) => ({ from: Math.floor(from / width) * width, to: Math.ceil(to / width) * width });

// A plain query needs a selector that every stream has; "" when there is no stream at all.
async function resolveQuery(text, signal) {
  const plain = toLogql(text, "");
  if (plain.startsWith("{") || isMetricQuery(text)) return plain;
  const labels = (await loki.labels(current(), { signal })) ?? [];
  const label = PREFERRED.find((name) => labels.includes(name)) ?? labels[0];
  return label ? toLogql(text, `{${label}=~".+"}`) : "";
}
