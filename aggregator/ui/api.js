// Requests to this server: Prometheus', Loki's and Alertmanager's APIs, and Bellwether's own.
// Addresses are relative to the page, so that it also works below a path prefix.

import { h } from "./dom.js";

const TOKEN = "bellwether-token";
let asking = null;

export class ApiError extends Error {}

async function request(path, { signal, method = "GET", form, json, extraHeaders } = {}) {
  const headers = { Accept: "application/json", ...extraHeaders };
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  let body;
  if (form) body = new URLSearchParams(form);
  if (json !== undefined) {
    body = JSON.stringify(json);
    headers["Content-Type"] = "application/json";
  }
  const response = await fetch(path, { method, headers, body, signal, cache: "no-store" });
  if (response.status === 401) {
    await askForToken(Boolean(token));
    return request(path, { signal, method, form, json, extraHeaders });
  }
  const text = await response.text();
  let parsed;
  try {
    parsed = text ? JSON.parse(text) : null;
  } catch {
    parsed = text;
  }
  if (!response.ok || parsed?.status === "error") throw new ApiError(reason(parsed, response));
  return parsed;
}

function reason(parsed, response) {
  const message = parsed?.error ?? parsed?.message ?? (typeof parsed === "string" ? parsed : "");
  return String(message).trim().slice(0, 2000) || `the server answered ${response.status} ${response.statusText}`;
}

// One dialog however many requests wait for it.
function askForToken(wasWrong) {
  asking ??= new Promise((resolve) => {
    const input = h("input", { type: "password", autocomplete: "off", "aria-label": "Bearer token", required: true });
    const dialog = h("dialog", { class: "dialog" },
      h("form", { method: "dialog" },
        h("h2", {}, wasWrong ? "This token was refused" : "Sign in"),
        h("p", {}, "This server asks for a bearer token. It is kept until this tab is closed."),
        input,
        h("div", { class: "actions" }, h("button", { class: "primary" }, "Continue"))));
    dialog.addEventListener("close", () => {
      sessionStorage.setItem(TOKEN, input.value.trim());
      dialog.remove();
      asking = null;
      resolve();
    });
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}

const seconds = (milliseconds) => (milliseconds / 1000).toFixed(3);
const nanoseconds = (milliseconds) => `${Math.floor(milliseconds)}000000`;
const withData = async (promise) => (await promise)?.data;

// Labels by where they come from, and each line's stable id.
const WITH_IDS = { "X-Loki-Response-Encoding-Flags": "categorize-labels,line-ids" };

export const prom = {
  query: (query, at = Date.now(), options = {}) =>
    request("api/v1/query", { method: "POST", form: { query, time: seconds(at) }, ...options }),
  range: (query, range, step, options = {}) =>
    request("api/v1/query_range", {
      method: "POST",
      form: { query, start: seconds(range.from), end: seconds(range.to), step },
      ...options,
    }),
  labels: (match, options) => withData(request(`api/v1/labels${match ? `?match[]=${encodeURIComponent(match)}` : ""}`, options)),
  values: (label, match, { range, ...options } = {}) => {
    const parameters = new URLSearchParams({ ...(match && { "match[]": match }), ...(range && { start: seconds(range.from), end: seconds(range.to) }) });
    return withData(request(`api/v1/label/${encodeURIComponent(label)}/values?${parameters}`, options));
  },
  metadata: (options) => withData(request("api/v1/metadata", options)),
  rules: (options) => withData(request("api/v1/rules", options)),
  alerts: (options) => withData(request("api/v1/alerts", options)),
};

export const loki = {
  range: (query, range, extra = {}, options = {}) => {
    const parameters = { query, start: nanoseconds(range.from), end: nanoseconds(range.to), ...extra };
    return withData(request(`loki/api/v1/query_range?${new URLSearchParams(parameters)}`, { extraHeaders: WITH_IDS, ...options }));
  },
  labels: (range, options) =>
    withData(request(`loki/api/v1/labels?start=${nanoseconds(range.from)}&end=${nanoseconds(range.to)}`, options)),
  values: (label, range, options) =>
    withData(request(`loki/api/v1/label/${encodeURIComponent(label)}/values?start=${nanoseconds(range.from)}&end=${nanoseconds(range.to)}`, options)),
  tail: (query, from) => {
    const url = new URL("loki/api/v1/tail", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    url.hash = "";
    url.search = new URLSearchParams({ query, start: nanoseconds(from), limit: "100" });
    return new WebSocket(url);
  },
};

export const alertmanager = {
  alerts: (options) => request("api/v2/alerts", options),
  silences: (options) => request("api/v2/silences", options),
  silence: (silence) => request("api/v2/silences", { method: "POST", json: silence }),
  expire: (id) => request(`api/v2/silence/${encodeURIComponent(id)}`, { method: "DELETE" }),
};

// Own endpoints answer with the value itself or with `{data: value}`.
const own = (name) => async (options) => {
  const answer = await request(`api/bellwether/v1/${name}`, options);
  return answer?.data ?? answer?.[name] ?? answer;
};

const logsApi = (name, query, range, extra, options) => {
  const parameters = { query, start: nanoseconds(range.from), end: nanoseconds(range.to), ...extra };
  return request(`api/bellwether/v1/logs/${name}?${new URLSearchParams(parameters)}`, options);
};

export const bellwether = {
  // A host taken out of service on purpose is no longer missed.
  retire: (instance) => request(`api/bellwether/v1/hosts/${encodeURIComponent(instance)}`, { method: "DELETE" }),
  // Lines around a line: {stream, before, line, after}.
  context: ({ id, time, stream }, counts, options) => withData(request(`api/bellwether/v1/logs/context?${new URLSearchParams({ id, time, query: stream, ...counts })}`, options)),
  facets: (query, range, extra, options) => withData(logsApi("facets", query, range, extra, options)),
  histogram: (query, range, extra, options) => withData(logsApi("histogram", query, range, extra, options)),
  hosts: own("hosts"),
  packs: own("packs"),
  scaling: own("scaling"),
  status: own("status"),
};
