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
      if (content !== undefined) replace(body, content);
      element.classList.remove("failed");
    } catch (error) {
      if (mine.signal.aborted || error.name === "AbortError") return;
      element.classList.add("failed");
      replace(body, failure(error, refresh));
    } finally {
      if (controller === mine) body.setAttribute("aria-busy", "false");
    }
  }

  return { element, refresh, stop: () => controller?.abort() };
}

export const failure = (error, retry) =>
  h("div", { class: "failure", role: "alert" },
    h("strong", {}, "✖ failed: "),
    h("span", {}, error.message || String(error)),
    retry && h("button", { type: "button", onclick: retry }, "try again"));
