// Builds elements. Text only ever becomes text nodes, so a label value that looks like markup
// stays a label value; attributes that could run code are not settable here.

const SVG = "http://www.w3.org/2000/svg";
const FORBIDDEN = /^(style|innerhtml|outerhtml|srcdoc)$/i;

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.replace(/^on/, ""), value);
    else if (/^on/i.test(name) || FORBIDDEN.test(name)) throw new Error(`attribute ${name} is not allowed`);
    else if (name === "value" && "value" in element) element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

export const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

export function replace(element, ...children) {
  element.replaceChildren();
  return append(element, children);
}

// Links out of telemetry (such as runbook_url) may only lead to web pages.
export function link(url, text) {
  const known = /^https?:\/\//i.test(url ?? "");
  return known ? h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, text ?? url) : h("span", {}, url);
}

export function table(columns, rows, attributes = {}) {
  const head = columns.map((column) =>
    h("th", { scope: "col", class: column.class, title: column.title }, column.name));
  const body = rows.map((row) =>
    row instanceof Node ? row : h("tr", {}, row.map((cell, i) => h("td", { class: columns[i]?.class }, cell))));
  return h("div", { class: "scroll" },
    h("table", attributes, h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)));
}

export const empty = (title, ...help) => h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), help.map((line) => h("p", {}, line)));

export const labelText = (labels, without = []) =>
  Object.entries(labels ?? {})
    .filter(([name]) => !without.includes(name))
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");

// {a="b"} with the metric's name in front, as PromQL writes it.
export function seriesName(metric) {
  const { __name__: name = "", ...rest } = metric ?? {};
  const pairs = Object.entries(rest).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return pairs.length || !name ? `${name}{${pairs.join(", ")}}` : name;
}
