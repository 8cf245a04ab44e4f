// What every check uses: results as lines of JSON, patience, and a browser whose requests and
// errors are written down.

import { createRequire } from "node:module";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const require = createRequire(import.meta.url);
const { chromium } = require(join(process.env.BELLWETHER_TEST_NODE_MODULES, "playwright-core"));

const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

let failures = 0;

const print = (row) => process.stdout.write(`${JSON.stringify(row)}\n`);

// Runs one check; what it returns is printed, what it throws fails the run but not the checks after it.
export async function check(name, body) {
  const started = performance.now();
  const ms = () => Math.round(performance.now() - started);
  try {
    const found = (await body()) ?? null;
    print({ check: name, ok: true, ms: ms(), found });
  } catch (error) {
    failures += 1;
    print({ check: name, ok: false, ms: ms(), error: String(error.message ?? error).slice(0, 1500) });
  }
}

export function finish() {
  print({ done: true, failures });
  process.exitCode = failures ? 1 : 0;
}

export function expect(condition, message) {
  if (!condition) throw new Error(message);
}

// Asks until the answer is true; the answer is returned.
export async function eventually(patienceMs, what, ask) {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    expect(performance.now() < deadline, `not within ${patienceMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

// A browser with a fresh profile. `requests` gets every address that any page asks for.
export async function browser(options = {}) {
  const profile = mkdtempSync(join(tmpdir(), "bellwether-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.BELLWETHER_TEST_CHROMIUM ?? "/usr/bin/chromium",
    args: FLAGS,
    viewport: { width: 1440, height: 900 },
    ...options,
  });
  const requests = [];
  context.on("request", (request) => requests.push(request.url()));
  return { context, requests, profile };
}

// A page with what went wrong in it. `expected` are addresses whose refusal the check provokes:
// the browser reports those in its console, too.
export async function pageOf({ context, requests }, expected = []) {
  const page = await context.newPage();
  const errors = [];
  page.on("websocket", (socket) => requests.push(socket.url()));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    const isExpected = expected.some((part) => message.location().url.includes(part));
    if (message.type() === "error" && !isExpected) errors.push(`${message.text()} (${message.location().url})`);
  });
  return { page, errors };
}

// How many pixels of the canvases have the colour of the first series: lines that are really drawn.
export const drawnPixels = (page, selector) => page.evaluate((css) => {
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--series-0").trim();
  probe.fillRect(0, 0, 1, 1);
  const wanted = probe.getImageData(0, 0, 1, 1).data;
  const drawn = (canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let i = 0; i < data.length; i += 4) {
      const distance = [0, 1, 2].reduce((sum, c) => sum + Math.abs(data[i + c] - wanted[c]), 0);
      if (data[i + 3] > 128 && distance < 60) count += 1;
    }
    return count;
  };
  return [...document.querySelectorAll(css)].filter(({ width, height }) => width && height).reduce((sum, canvas) => sum + drawn(canvas), 0);
}, selector);
