// Keyboard shortcuts. They never fire while text is being typed, except Escape, which leaves it.

import { h } from "./dom.js";
import { keepRange } from "./router.js";
import { switchTheme } from "./theme.js";

const GO = { o: "overview", h: "overview", m: "metrics", l: "logs", a: "alerts", s: "scaling", i: "status" };
const GO_WINDOW_MS = 1200;
const SHORTCUTS = [
  ["/", "focus the search box"],
  ["g o", "overview and hosts"],
  ["g m", "metrics"],
  ["g l", "logs"],
  ["g a", "alerts"],
  ["g s", "scaling"],
  ["g i", "status"],
  ["j  k", "next, previous row"],
  ["x  Enter", "expand the row"],
  ["t", "time range"],
  [".", "live on and off"],
  ["d", "dark or light"],
  ["Esc", "leave a box, close a dialog"],
  ["?", "this help"],
];

let helpDialog = null;

function showHelp() {
  if (helpDialog?.open) return;
  const rows = SHORTCUTS.map(([keys, text]) => [h("dt", {}, keys.split("  ").map((key) => [h("kbd", {}, key), " "])), h("dd", {}, text)]);
  helpDialog = h("dialog", { class: "dialog" },
    h("form", { method: "dialog" },
      h("h2", {}, "Keyboard"),
      h("dl", { class: "keys" }, rows),
      h("div", { class: "actions" }, h("button", { class: "primary" }, "Close"))));
  helpDialog.addEventListener("close", () => helpDialog.remove());
  document.body.append(helpDialog);
  helpDialog.showModal();
}

const isTyping = (target) => target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);

function moveRow(by) {
  const rows = [...document.querySelectorAll("main [data-row]")].filter((row) => row.offsetParent);
  if (!rows.length) return;
  const now = rows.indexOf(document.activeElement.closest?.("[data-row]"));
  const next = rows[Math.max(0, Math.min(rows.length - 1, now + by))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

export function bindKeys({ helpButton, toggleLive }) {
  let wentAt = 0;
  const actions = {
    "/": () => document.querySelector("main [data-search]")?.focus(),
    "?": showHelp,
    ".": toggleLive,
    d: switchTheme,
    t: () => document.getElementById("range")?.focus(),
    j: () => moveRow(1),
    k: () => moveRow(-1),
    x: () => document.activeElement.closest?.("[data-row]")?.click(),
    g: () => (wentAt = Date.now()),
  };
  helpButton.addEventListener("click", showHelp);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && isTyping(event.target)) return event.target.blur();
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
    const isGoing = Date.now() - wentAt < GO_WINDOW_MS && GO[event.key];
    if (isGoing) {
      wentAt = 0;
      location.hash = keepRange(GO[event.key]);
    } else if (actions[event.key]) {
      actions[event.key]();
    } else {
      return;
    }
    event.preventDefault();
  });
}
