// The form for a silence, with the alerts it would mute shown before it is made.

import { alertmanager, prom } from "./api.js";
import { h, replace } from "./dom.js";
import { parseDuration } from "./timerange.js";

const AUTHOR = "bellwether-author";

// `name="value", name=~"expression"`: quotes may be left out.
export function parseMatchers(text) {
  const matchers = [];
  const pattern = /\s*([a-zA-Z_][\w.]*)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^,\s]*))\s*(?:,|$)/gy;
  let end = 0;
  for (let match; end < text.trim().length && (match = pattern.exec(text)); end = pattern.lastIndex) {
    const [, name, operator, quoted, bare] = match;
    const value = quoted === undefined ? bare : JSON.parse(`"${quoted}"`);
    matchers.push({ name, value, isRegex: operator.includes("~"), isEqual: !operator.includes("!") });
  }
  if (end < text.trim().length) throw new Error(`cannot read matchers from ${JSON.stringify(text.slice(end))}`);
  if (!matchers.length) throw new Error("name at least one matcher");
  return matchers;
}

function matches(labels, { name, value, isRegex, isEqual }) {
  const own = labels[name] ?? "";
  const found = isRegex ? new RegExp(`^(?:${value})$`, "s").test(own) : own === value;
  return found === isEqual;
}

export function silenceForm(labels, { onDone }) {
  const prefilled = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(", ");
  const matchers = h("input", { type: "text", class: "query", required: true, value: prefilled, spellcheck: "false", placeholder: 'alertname="DiskFull", instance=~"db.*"' });
  const duration = h("input", { type: "text", required: true, value: "2h", pattern: "\\d+(\\.\\d+)?\\s*[smhdw]", size: "5" });
  const author = h("input", { type: "text", required: true, value: localStorage.getItem(AUTHOR) ?? "", size: "14", autocomplete: "username" });
  const comment = h("input", { type: "text", required: true, placeholder: "why, and until when it matters" });
  const preview = h("p", { class: "dim" });
  const problem = h("p", { class: "failure", role: "alert" });

  async function showPreview() {
    try {
      const wanted = parseMatchers(matchers.value);
      const { alerts } = await prom.alerts();
      const muted = alerts.filter((alert) => wanted.every((matcher) => matches(alert.labels, matcher)));
      const names = [...new Set(muted.map((alert) => alert.labels.alertname))].slice(0, 8).join(", ");
      replace(preview, `Mutes ${muted.length} of ${alerts.length} active alerts${names ? `: ${names}` : ""}.`);
      replace(problem);
    } catch (error) {
      replace(preview, error.message);
    }
  }

  async function submit(event) {
    event.preventDefault();
    try {
      const startsAt = new Date();
      const endsAt = new Date(startsAt.getTime() + parseDuration(duration.value));
      localStorage.setItem(AUTHOR, author.value);
      await alertmanager.silence({ matchers: parseMatchers(matchers.value), startsAt, endsAt, createdBy: author.value, comment: comment.value });
      onDone();
    } catch (error) {
      replace(problem, `✖ ${error.message}`);
    }
  }

  matchers.addEventListener("input", showPreview);
  showPreview();
  return h("form", { class: "panel silence-form", onsubmit: submit },
    h("header", {}, h("h2", {}, "New silence")),
    h("label", { class: "wide" }, "Matchers", matchers),
    preview,
    h("div", { class: "fields" }, h("label", {}, "For", duration), h("label", {}, "By", author), h("label", { class: "wide" }, "Why", comment)),
    problem,
    h("div", { class: "actions" }, h("button", { type: "button", onclick: onDone }, "Cancel"), h("button", { class: "primary" }, "Silence")));
}
