// How the page looks, in both themes and when something fails.

import { hostname } from "node:os";
import { join } from "node:path";
import { drawnPixels, eventually, expect, pageOf } from "./checks.mjs";

const brightness = (page) => page.evaluate(() => {
  const [r, g, b] = getComputedStyle(document.documentElement).backgroundColor.match(/\d+/g).map(Number);
  return (r + g + b) / 3;
});

async function hostPage(page, url, range) {
  await page.goto(`${url}/#/host/${encodeURIComponent(hostname())}?range=${range}`);
  await eventually(15_000, "a graph with lines", async () => (await drawnPixels(page, ".chart canvas")) > 100);
}

export async function themes({ session, url, pictures }) {
  const { page } = await pageOf(session);
  const seen = {};
  for (const theme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme: theme });
    await page.goto("about:blank");
    await hostPage(page, url, "5m");
    seen[theme] = await brightness(page);
    await page.screenshot({ path: join(pictures, `${theme}.png`) });
  }
  expect(seen.dark < 80 && seen.light > 180, JSON.stringify(seen));
  await page.click("#theme");
  await eventually(3000, "the switch changes the theme", async () => (await brightness(page)) < 80);
  await page.click("#theme");
  await page.close();
  return seen;
}

export async function oneRequestFails({ session, url }) {
  const { page, errors } = await pageOf(session, ["/api/bellwether/v1/hosts"]);
  await page.route("**/api/bellwether/v1/hosts", (route) => route.abort());
  await page.goto(url);
  const row = page.locator("table.hosts tbody tr", { hasText: hostname() });
  await row.first().waitFor({ timeout: 10_000 });
  await page.locator("section.panel", { hasText: "Problems" }).locator(".all-well, table").first().waitFor({ timeout: 5000 });
  await page.unroute("**/api/bellwether/v1/hosts");
  await page.route("**/api/v1/alerts", (route) => route.abort());
  await page.reload();
  await page.locator("section.panel.failed", { hasText: "Problems" }).waitFor({ timeout: 5000 });
  await row.first().locator(".spark path").first().waitFor({ state: "attached", timeout: 10_000 });
  const unexpected = errors.filter((text) => !text.includes("/api/v1/alerts"));
  expect(!unexpected.length, unexpected.join("\n"));
  await page.close();
}

export async function readmePicture({ session, url }, path) {
  const { page } = await pageOf(session);
  await page.emulateMedia({ colorScheme: process.env.BELLWETHER_SCREENSHOT_THEME ?? "dark" });
  await hostPage(page, url, "5m");
  // Graphs further down are drawn a moment later.
  await page.waitForTimeout(2000);
  await page.screenshot({ path });
  await page.close();
}
