// All state lives in the address: `#/view/part?key=value`. Reading and writing it happens here.

export function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, ...rest] = path.split("/").map(decodeURIComponent);
  return { view: view || "overview", parts: rest, params: new URLSearchParams(query) };
}

export function href(view, parts = [], params = {}) {
  const path = [view, ...parts].map(encodeURIComponent).join("/");
  const query = params instanceof URLSearchParams ? params : new URLSearchParams(clean(params));
  const text = query.toString();
  return `#/${path}${text ? `?${text}` : ""}`;
}

const clean = (params) =>
  Object.fromEntries(Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== ""));

// Changes parameters of the current address; `quiet` leaves no entry in the history.
export function update(changes, { quiet = false } = {}) {
  const { view, parts, params } = read();
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined || value === null || value === "") params.delete(key);
    else params.set(key, value);
  }
  const target = href(view, parts, params);
  if (target === location.hash) {
    window.dispatchEvent(new HashChangeEvent("hashchange"));
  } else if (quiet) {
    history.replaceState(null, "", target);
  } else {
    location.hash = target;
  }
}

// Links keep the time range of where one comes from.
export function keepRange(view, parts = [], params = {}) {
  const current = read().params;
  const kept = {};
  for (const key of ["range", "from", "to"]) if (current.has(key)) kept[key] = current.get(key);
  return href(view, parts, { ...kept, ...params });
}
