// The page of a server that asks for tokens:  node guarded.mjs URL READER_TOKEN AGENT_TOKEN
//
// A browser knows name and password only. It must be asked for them, and send them with the page's
// requests and with the WebSocket of the live tail.

import { rmSync } from "node:fs";
import { browser, check, eventually, expect, finish, pageOf } from "./checks.mjs";

const [url, readerToken, agentToken] = process.argv.slice(2);
const stranger = await browser();
const session = await browser({ httpCredentials: { username: "me", password: readerToken } });
const { page, errors } = await pageOf(session);

async function push(line) {
  const body = { streams: [{ stream: { job: "guarded" }, values: [[`${Date.now()}000000`, line]] }] };
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${agentToken}` };
  const { status } = await fetch(`${url}/loki/api/v1/push`, { method: "POST", headers, body: JSON.stringify(body) });
  expect(status === 204, `push: ${status}`);
}

await check("a stranger sees nothing", async () => {
  const answer = await (await pageOf(stranger)).page.goto(url).catch((error) => String(error));
  // Without a dialog to fill in, Chromium shows the refusal or reports that it has no credentials.
  expect(typeof answer === "string" ? answer.includes("INVALID_AUTH_CREDENTIALS") : answer.status() === 401, String(answer));
});

await check("the token as password opens the page", async () => {
  const answer = await page.goto(url);
  expect(answer.status() === 200, `status ${answer.status()}`);
  await page.locator("main .empty", { hasText: "No host has reported yet" }).waitFor({ timeout: 10_000 });
});

await check("live tail", async () => {
  await push("the first line");
  await page.goto(`${url}/#/logs?q=${encodeURIComponent('{job="guarded"}')}&tail=1`);
  const shows = (text) => page.locator(".log-row .text", { hasText: text }).waitFor({ timeout: 10_000 });
  await shows("the first line");
  await push("the second line");
  await shows("the second line");
});

await check("a silence by an operator", async () => {
  await page.click('#nav a[href^="#/alerts"]');
  await page.click("button:has-text('new silence')");
  const form = page.locator("form.silence-form");
  await form.locator("input.query").fill('alertname="Watchdog"');
  await form.locator("label", { hasText: "By" }).locator("input").fill("me");
  await form.locator("label", { hasText: "Why" }).locator("input").fill("guarded");
  await form.locator("button.primary").click();
  await eventually(10_000, "the silence is listed", () => page.locator("td", { hasText: "guarded" }).count());
});

await check("no errors in the console", () => expect(!errors.length, errors.join("\n")));
for (const { context, profile } of [stranger, session]) {
  await context.close();
  rmSync(profile, { recursive: true, force: true });
}
finish();
