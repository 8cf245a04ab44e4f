// A titled piece of a view that loads by itself: a failing request spoils its own panel only, and
// what was shown before stays until there is something newer.

import { h, replace } from "./dom.js";

export function panel(title, load, { tools, className = "" } = {}) {
  const body = h("div", { class: "panel-body", "aria-busy": "true" }, h("p", { class: "dim pad" }, "loading…"));
  const note = h("span", { class: "panel-note" });
  const heading = typeof title === "string" ? h("h2", {}, title) : title;
  const element = h("section", { class: `panel ${className}` }, h("header", {}, heading, note, tools), body);
  let controller = null;

  async function refresh() {
    controller?.abort();
    const mine = (controller = new AbortController());
    try {
      const content = await load({ signal: mine.signal, note: (text) => replace(note, text) });
      if (mine.signal.aborted) return;
      // `undefined` means that the loader updated what it had drawn before.
      if (content !== undefined && !isBeingRead(body)) swap(body, content);
      element.classList.remove("failed");
    } catch (error) {
      if (mine.signal.aborted || error.name === "AbortError") return;
      element.classList.add("failed");
      replace(body, failure(error, refresh));
    } finally {
      if (controller === mine) body.setAttribute("aria-busy", "false");
    }
  }

  return { element, refresh, show: (content) => swap(body, content), note: (text) => replace(note, text), stop: () => controller?.abort() };
}

// Text that is being marked must not be pulled away.
function isBeingRead(body) {
  const selection = getSelection();
  return !selection.isCollapsed && body.contains(selection.anchorNode);
}

// Replaces the content and keeps what the reader did to it: the focused row, the opened details.
function swap(body, content) {
  const places = (selector) => [...body.querySelectorAll(selector)];
  const focused = places("[data-row], button, a, summary").indexOf(document.activeElement);
  const toggled = places("details").map((details) => details.open);
  replace(body, content);
  places("details").forEach((details, i) => i < toggled.length && (details.open = toggled[i]));
  if (focused >= 0) places("[data-row], button, a, summary")[focused]?.focus({ preventScroll: true });
}

export const failure = (error, retry) =>
  h("div", { class: "failure", role: "alert" },
    h("strong", {}, "✖ failed: "),
    h("span", {}, error.message || String(error)),
    retry && h("button", { type: "button", onclick: retry }, "try again"));
