// Starts the page: navigation, time range, theme, keyboard, and the view that the address names.

import { bellwether } from "./api.js";
import { empty, h, replace } from "./dom.js";
import { href, keepRange, read } from "./router.js";
import { adoptAge, current, drawPicker } from "./timerange.js";
import { bindKeys } from "./keys.js";
import { watchAlerts } from "./badge.js";
import { applyTheme, switchTheme } from "./theme.js";
import overview from "./views/overview.js";
import host from "./views/host.js";
import metrics from "./views/metrics.js";
import logs from "./views/logs.js";
import context from "./views/context.js";
import alerts from "./views/alerts.js";
import scaling from "./views/scaling.js";
import status from "./views/status.js";

const VIEWS = { overview, host, metrics, logs, context, alerts, scaling, status };
const NAV = [["overview", "Overview"], ["metrics", "Metrics"], ["logs", "Logs"], ["alerts", "Alerts"], ["scaling", "Scaling"], ["status", "Status"]];
const LIVE_MS = 5000;
const SLOW_MS = 30_000;
// Somebody who has just opened the page may have just started the server: the first samples show soon.
const [EAGER_MS, EAGER_FOR_MS] = [1500, 20_000];

const byId = (id) => document.getElementById(id);
let shown = null;
let isLive = true;
let timer = null;

function drawNav(view) {
  const active = { host: "overview", context: "logs" }[view] ?? view;
  replace(byId("nav"), NAV.map(([name, text]) =>
    h("a", { href: keepRange(name), "aria-current": name === active ? "page" : undefined }, text,
      name === "alerts" && h("span", { id: "alert-badge", class: "badge", hidden: true }))));
  document.dispatchEvent(new Event("nav-drawn"));
}

function drawTop(view) {
  drawNav(view);
  drawPicker(byId("time"), {
    isLive: isLive && current().isRelative,
    onLive: () => {
      isLive = !isLive;
      drawTop(read().view);
      schedule();
    },
  });
}

// An address that was mistyped or is of a later version.
function unknown(main, { view }) {
  main.append(empty(`There is no view called “${view}”.`, h("a", { href: keepRange("overview") }, "Overview")));
  return {};
}

// The same view with other parameters keeps its elements, so that typing is not interrupted.
function show() {
  const address = read();
  const view = Object.hasOwn(VIEWS, address.view) ? VIEWS[address.view] : unknown;
  const key = [address.view, ...address.parts].join("/");
  drawTop(address.view);
  if (shown?.key === key) {
    shown.view.update?.(address);
  } else {
    shown?.view.stop?.();
    const main = byId("main");
    replace(main);
    shown = { key, view: view(main, address) };
    const titles = { context: "Lines around a line" };
    const name = NAV.find(([id]) => id === address.view)?.[1] ?? titles[address.view] ?? address.parts[0] ?? "Overview";
    document.title = `${name} – Bellwether`;
  }
  schedule();
}

function schedule() {
  clearTimeout(timer);
  const range = current();
  if (!isLive || !range.isRelative || shown?.view.isLiveByItself) return;
  const isLong = range.to - range.from > 6 * 3_600_000;
  const pause = isLong ? SLOW_MS : performance.now() < EAGER_FOR_MS ? EAGER_MS : LIVE_MS;
  timer = setTimeout(async () => {
    if (document.visibilityState === "visible") await shown?.view.refresh?.();
    schedule();
  }, pause);
}

// Links in notifications are Prometheus' own: `/graph?g0.expr=…`.
function adoptGraphLink() {
  const query = new URLSearchParams(location.search).get("g0.expr");
  if (query) history.replaceState(null, "", `./${href("metrics", [], { q: query })}`);
}

applyTheme();
adoptGraphLink();
byId("theme").addEventListener("click", () => {
  switchTheme();
  shown?.view.refresh?.();
});
bindKeys({ helpButton: byId("help"), toggleLive: () => byId("time").querySelector(".live")?.click() });
watchAlerts(byId("live"));
window.addEventListener("hashchange", show);
show();
// Failing to learn the age leaves the usual range.
bellwether.status().then(({ metrics }) => adoptAge(metrics.oldest_ms ?? Date.now()) && show(), () => {});
