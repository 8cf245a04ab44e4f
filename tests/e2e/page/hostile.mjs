// Telemetry that looks like markup. Anyone who can write a log line can write this one.

import { eventually, expect } from "./checks.mjs";

const MARKUP = "<img src=x onerror=window.pwned=1>";

async function post(url, body, headers = {}) {
  const response = await fetch(url, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) });
  expect(response.ok, `${url}: ${response.status} ${await response.text()}`);
}

const pushLog = (url) => post(`${url}/loki/api/v1/push`, {
  streams: [{ stream: { job: "hostile", service_name: MARKUP }, values: [[`${Date.now()}000000`, `a line with ${MARKUP} in it`]] }],
});

function pushMetric(url) {
  const attributes = [{ key: "danger", value: { stringValue: MARKUP } }];
  const point = () => ({ attributes, timeUnixNano: `${Date.now()}000000`, asDouble: 7 });
  const resource = { attributes: [{ key: "service.name", value: { stringValue: "hostile" } }, { key: "service.instance.id", value: { stringValue: MARKUP } }] };
  return post(`${url}/v1/metrics`, {
    resourceMetrics: [{ resource, scopeMetrics: [{ metrics: [{ name: "hostile_gauge", gauge: { dataPoints: [point()] } }] }] }],
  });
}

async function staysText(page, where) {
  const found = await page.evaluate(() => ({ pwned: window.pwned, images: document.querySelectorAll("img[src=x]").length }));
  expect(found.pwned === undefined && found.images === 0, `${where}: ${JSON.stringify(found)}`);
}

async function shows(page, where, address, selector) {
  await eventually(15_000, `${where} shows the text`, async () => {
    await page.goto("about:blank");
    await page.goto(address);
    return page.locator(selector, { hasText: MARKUP }).first().waitFor({ timeout: 1500 }).then(() => true, () => false);
  });
  await staysText(page, where);
}

export async function hostileTelemetry({ page, url }) {
  await pushLog(url);
  await pushMetric(url);
  const metric = encodeURIComponent('hostile_gauge{job="hostile"}');
  await shows(page, "the legend", `${url}/#/metrics?q=${metric}`, ".legend");
  await shows(page, "the table", `${url}/#/metrics?q=${metric}&tab=table`, "main td");
  await shows(page, "the row of a line", `${url}/#/logs?q=${encodeURIComponent('{job="hostile"}')}`, ".log-row .text");
  await page.locator(".log-row").first().click();
  await page.locator(".log-details td", { hasText: MARKUP }).first().waitFor({ timeout: 3000 });
  await page.locator(".facet", { hasText: MARKUP }).first().waitFor({ timeout: 3000 });
  await staysText(page, "the details of a line");
  await page.goto("about:blank");
  await page.goto(`${url}/#/host/${encodeURIComponent(MARKUP)}`);
  await page.locator("h1", { hasText: MARKUP }).waitFor({ timeout: 5000 });
  await staysText(page, "the title of a host");
}
