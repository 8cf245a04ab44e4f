// The number of firing alerts in the navigation, and a spoken note when there are new ones.

import { prom } from "./api.js";

const EVERY_MS = 15_000;
let firing = null;

const counts = (alert) => alert.state === "firing" && !["none", ""].includes(alert.labels?.severity ?? "none");

function draw() {
  const badge = document.getElementById("alert-badge");
  if (!badge || firing === null) return;
  badge.hidden = firing === 0;
  badge.textContent = String(firing);
  badge.setAttribute("aria-label", `${firing} firing`);
}

export function watchAlerts(liveRegion) {
  async function look() {
    try {
      const { alerts } = await prom.alerts();
      const now = alerts.filter(counts).length;
      if (firing !== null && now > firing) liveRegion.textContent = `${now - firing} new firing alerts, ${now} in all`;
      firing = now;
      draw();
    } catch {
      // The views show why; the badge keeps its last number.
    }
    setTimeout(look, EVERY_MS);
  }
  document.addEventListener("nav-drawn", draw);
  look();
}
