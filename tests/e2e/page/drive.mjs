// Drives the page of a running `bellwether demo`:  node drive.mjs URL FOLLOWED_LOG PICTURES
//
// BELLWETHER_TEST_NODE_MODULES names the folder of playwright-core, BELLWETHER_TEST_CHROMIUM the
// browser. With BELLWETHER_SCREENSHOT=FILE the picture of the README is written first; for that,
// run it by hand against a demo that is some minutes old, so that its graphs have a shape.

import { rmSync } from "node:fs";
import { browser, check, expect, finish, pageOf } from "./checks.mjs";
import { alerts, hostGraphs, liveGraphs, logSearch, liveTail, logFields, metricsExplorer, opens, restOfViews, whatIsNotThere } from "./views.mjs";
import { hostileTelemetry } from "./hostile.mjs";
import { oneRequestFails, readmePicture, themes } from "./looks.mjs";

const PATIENCE_MS = 240_000;
const [url, log, pictures] = process.argv.slice(2);
const watchdog = setTimeout(() => {
  console.error(`not done after ${PATIENCE_MS} ms`);
  process.exit(1);
}, PATIENCE_MS);

const session = await browser();
const { page, errors } = await pageOf(session, ["/api/v1/query_range", "?query=%7Bjob%3D&"]);
const tools = { session, page, url, log, pictures };
if (process.env.BELLWETHER_SCREENSHOT) await check("picture of the README", () => readmePicture(tools, process.env.BELLWETHER_SCREENSHOT));

await check("the page opens within 5 s", () => opens(tools));
await check("live graphs of this host within 15 s", () => liveGraphs(tools));
await check("graphs of one host", () => hostGraphs(tools));
await check("the explorer draws, and explains errors", () => metricsExplorer(tools));
await check("an appended line is found within 2 s", () => logSearch(tools));
await check("fields, bars and neighbours of lines", () => logFields(tools));
await check("live tail over the WebSocket", () => liveTail(tools));
await check("alerts and a silence", () => alerts(tools));
await check("scaling and status", () => restOfViews(tools));
await check("what is not there is said", () => whatIsNotThere(tools));
await check("hostile telemetry stays text", () => hostileTelemetry(tools));
await check("dark and light", () => themes(tools));
await check("one failing request spoils only its own part", () => oneRequestFails(tools));
await check("no errors in the console", () => expect(!errors.length, errors.join("\n")));
await check("no request leaves this machine", () => {
  const foreign = session.requests.filter((address) => !/^(data|blob|about):/.test(address) && new URL(address).host !== new URL(url).host);
  expect(!foreign.length, foreign.join("\n"));
  return `${session.requests.length} requests`;
});

await session.context.close();
rmSync(session.profile, { recursive: true, force: true });
clearTimeout(watchdog);
finish();
