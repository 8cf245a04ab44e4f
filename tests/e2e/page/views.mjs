// What each view of the page must do with a demo's data.

import { appendFileSync } from "node:fs";
import { hostname } from "node:os";
import { drawnPixels, eventually, expect } from "./checks.mjs";

// A line of some seconds in a range of minutes.
const LINE_PIXELS_MIN = 20;

// A click on a link of the navigation, as a reader would do it.
export const open = (page, view) => page.click(`#nav a[href^="#/${view}"]`);

export async function opens({ page, url }) {
  const started = performance.now();
  await page.goto(url);
  await page.waitForSelector("#nav a", { timeout: 5000 });
  const ms = Math.round(performance.now() - started);
  expect(ms < 5000, `${ms} ms`);
  return `${ms} ms`;
}

// Small lines in the overview: of the processor, the memory, the fullest disk, the network.
export async function liveGraphs({ page }) {
  const row = page.locator("table.hosts tbody tr", { hasText: hostname() });
  await row.first().waitFor({ timeout: 15_000 });
  const lines = () => row.first().locator(".spark path").evaluateAll((paths) => paths.filter((path) => /L/.test(path.getAttribute("d"))).length);
  await eventually(15_000, "all four graphs have lines", async () => (await lines()) === 4);
}

export async function hostGraphs({ page }) {
  await page.locator("table.hosts a", { hasText: hostname() }).first().click();
  await page.waitForSelector(`h1:has-text("${hostname()}")`, { timeout: 5000 });
  await eventually(15_000, "a graph of this host has lines", async () => (await drawnPixels(page, ".chart canvas")) >= LINE_PIXELS_MIN);
  const graphs = await page.locator(".chart canvas").count();
  expect(graphs >= 8, `${graphs} graphs`);
  return `${graphs} graphs`;
}

async function ask(page, query) {
  await page.fill("textarea.query", query);
  await page.keyboard.press("Escape");
  await page.click(".querybar button.primary");
}

export async function metricsExplorer({ page }) {
  await open(page, "metrics");
  await page.selectOption("#range", "5m");
  await ask(page, "rate(node_cpu_seconds_total[1m]");
  const failure = page.locator("main .failure");
  await failure.waitFor({ timeout: 5000 });
  const text = await failure.innerText();
  expect(/parse error|unexpected|unclosed/i.test(text), text);
  await ask(page, "node_memory_MemTotal_bytes");
  await eventually(15_000, "a line is drawn", async () => (await drawnPixels(page, "main canvas")) >= LINE_PIXELS_MIN);
  expect((await failure.count()) === 0, "the error is still shown");
  expect((await page.locator(".legend").innerText()).includes(hostname()), "the legend names this host");
  return text.split("\n")[1] ?? text;
}

// From the line's end on disk to its row in the page. The best of three: one slow moment of a busy
// machine says nothing about the path.
export async function logSearch({ page, log }) {
  await open(page, "logs");
  await page.waitForSelector("input.query");
  const times = [];
  for (const word of ["alpaca", "bandicoot", "capybara"]) {
    const needle = `${word}${Date.now()}`;
    await page.fill("input.query", needle);
    appendFileSync(log, `level=error msg="found ${needle} in the checkout"\n`);
    const written = performance.now();
    await eventually(15_000, `a row with ${needle}`, async () => {
      await page.click(".querybar button.primary");
      return page.locator(".log-row .text", { hasText: needle }).first().waitFor({ timeout: 400 }).then(() => true, () => false);
    });
    times.push(Math.round(performance.now() - written));
    await eventually(10_000, "the bar of that line", async () => (await page.locator(".histogram .bar.error").count()) > 0);
  }
  expect(Math.min(...times) <= 2000, `${times} ms`);
  return `${times} ms`;
}

// Values counted over the whole result, bars by any label, and a line among its neighbours.
export async function logFields({ page, log }) {
  const word = `echidna${Date.now()}`;
  for (const step of [0, 1, 2, 3, 4]) appendFileSync(log, `level=info msg="step ${step} of ${word}"\n`);
  appendFileSync(log, `level=error msg="failed ${word}"\n`);
  await open(page, "logs");
  await page.fill("input.query", `{filename=~".*shop.log"} |= "${word}"`);
  const rows = page.locator(".log-row");
  await eventually(15_000, "six rows", async () => {
    await page.click(".querybar button.primary");
    await page.waitForTimeout(300);
    return (await rows.count()) === 6;
  });
  const level = (name) => page.locator('.facets details[data-name="detected_level"] .facet', { hasText: name });
  await level("info").waitFor({ timeout: 10_000 });
  const found = await level("info").getAttribute("title");
  expect(found.includes("5 lines"), found);
  await page.selectOption(".bars-by select", "service_name");
  await page.locator(".histogram .bar.s0").first().waitFor({ state: "attached", timeout: 10_000 });
  await page.selectOption(".bars-by select", "detected_level");
  await page.locator(".histogram .bar.error").first().waitFor({ state: "attached", timeout: 10_000 });
  await level("error").click();
  await eventually(10_000, "the row with the error alone", async () => (await rows.count()) === 1);
  const query = await page.inputValue("input.query");
  expect(query.endsWith('| detected_level="error"'), query);
  await rows.first().click();
  await page.click(".log-details a:has-text('lines around it')");
  const anchor = page.locator(".log-row.anchor .text", { hasText: `failed ${word}` });
  await anchor.waitFor({ timeout: 10_000 });
  const around = await page.locator(".log-row .text").allInnerTexts();
  expect(around.some((text) => text.includes(`step 4 of ${word}`)), around.join("\n"));
  const address = page.url();
  await page.goto("about:blank");
  await page.goto(address);
  await anchor.waitFor({ timeout: 10_000 });
  await open(page, "logs");
  return `${around.length} lines around it`;
}

export async function liveTail({ page, log }) {
  await page.fill("input.query", '{filename=~".*shop.log"}');
  await page.click(".querybar button.primary");
  await page.waitForSelector(".log-row");
  const socket = page.waitForEvent("websocket", { timeout: 5000 });
  await page.click("button:has-text('live tail')");
  const address = (await socket).url();
  expect(address.startsWith("ws://") && address.includes("/loki/api/v1/tail"), address);
  const needle = `dormouse${Date.now()}`;
  appendFileSync(log, `level=info msg="tail ${needle}"\n`);
  await page.locator(".log-row .text", { hasText: needle }).waitFor({ timeout: 10_000 });
  await page.click("button:has-text('stop tail')");
  await page.waitForSelector("button:has-text('live tail')");
}

export async function alerts({ page }) {
  await open(page, "alerts");
  const rules = page.locator("section.panel", { has: page.locator("h2", { hasText: /^Rules$/ }) });
  // The rules of hosts are switched on when metrics of hosts are seen, at most half a minute later.
  await rules.locator("td", { hasText: "DiskFull" }).first().waitFor({ timeout: 60_000 });
  const active = page.locator("section.panel", { has: page.locator("h2", { hasText: "Active alerts" }) });
  // It fires from a minute after the start on.
  await active.locator("tr", { hasText: "Watchdog" }).locator("text=firing").first().waitFor({ timeout: 120_000 });
  await page.click("button:has-text('new silence')");
  const form = page.locator("form.silence-form");
  await form.locator("input.query").fill('alertname="Watchdog"');
  await form.locator("p", { hasText: /Mutes 1 of/ }).waitFor({ timeout: 5000 });
  await form.locator("label", { hasText: "By" }).locator("input").fill("e2e");
  await form.locator("label", { hasText: "Why" }).locator("input").fill("a test of <b>silences</b>");
  await form.locator("button.primary").click();
  const silences = page.locator("section.panel", { has: page.locator("h2", { hasText: "Silences" }) });
  await silences.locator("td", { hasText: "a test of <b>silences</b>" }).waitFor({ timeout: 10_000 });
  await eventually(20_000, "the alert is marked as silenced", () => active.locator("tr", { hasText: "Watchdog" }).locator("text=silenced").count());
  return rules.locator(".panel-note").innerText();
}

export async function restOfViews({ page }) {
  await open(page, "scaling");
  await page.waitForSelector("main .card, main .empty", { timeout: 5000 });
  await open(page, "status");
  await page.waitForSelector("main .facts-list", { timeout: 5000 });
  expect((await page.locator("main .failure").count()) === 0, "a panel of the status failed");
}

// What is not there is said, once, instead of shown as an empty board.
export async function whatIsNotThere({ page, url }) {
  const shows = (selector, text) => page.locator(selector, { hasText: text }).first().waitFor({ timeout: 10_000 });
  const goTo = (hash) => page.goto(`${new URL(url).origin}/${hash}`);
  await goTo("#/host/no-such-host");
  await shows("main .empty-title", "No host is called “no-such-host”.");
  expect((await page.locator("main .panel:visible").count()) === 0, "the board of an unknown host is shown");
  await goTo("#/constructor");
  await shows("main .empty-title", "There is no view called “constructor”.");
  await goTo(`#/logs?q=${encodeURIComponent('sum(count_over_time({job="no-such-job"}[1m]))')}`);
  await shows("main .empty-title", "No data.");
  await goTo(`#/logs?q=${encodeURIComponent("{job=")}`);
  await shows("main .failure", "parse error");
  await page.waitForTimeout(1000);
  expect((await page.locator("main .failure").count()) === 1, "an error is told more than once");
}
