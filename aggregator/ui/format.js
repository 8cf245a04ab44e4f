// Numbers and times for people. A value that is absent or not a number shows as a dash, never as 0.

const SI = ["", "k", "M", "G", "T", "P", "E"];
const IEC = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DASH = "–";

const isMissing = (value) => value === null || value === undefined || value === "" || Number.isNaN(Number(value));

function scaled(value, base, units) {
  let rest = Math.abs(value);
  let unit = 0;
  while (rest >= base && unit < units.length - 1) {
    rest /= base;
    unit += 1;
  }
  const digits = rest >= 100 || Number.isInteger(rest) ? 0 : rest >= 10 ? 1 : 2;
  return `${value < 0 ? "-" : ""}${Number(rest.toFixed(digits))}${units[unit] ? ` ${units[unit]}` : ""}`;
}

export function number(value) {
  if (isMissing(value)) return DASH;
  const parsed = Number(value);
  if (!Number.isFinite(parsed)) return parsed > 0 ? "+Inf" : "-Inf";
  if (parsed !== 0 && Math.abs(parsed) < 0.01) return String(Number(parsed.toPrecision(2)));
  return scaled(parsed, 1000, SI);
}

export function bytes(value) {
  if (isMissing(value)) return DASH;
  const text = scaled(Number(value), 1024, IEC);
  return text.includes(" ") ? `${text}B` : `${text} B`;
}

export const percent = (value) =>
  isMissing(value) ? DASH : `${Number(value).toFixed(Math.abs(value) < 10 ? 1 : 0)} %`;

export const bytesPerSecond = (value) => (isMissing(value) ? DASH : `${bytes(value)}/s`);

export const seconds = (value) => (isMissing(value) ? DASH : duration(Number(value) * 1000));

export function duration(milliseconds) {
  if (isMissing(milliseconds)) return DASH;
  const total = Math.abs(Number(milliseconds));
  if (total > 0 && total < 1) return `${Number((total * 1000).toPrecision(2))} µs`;
  if (total < 1000) return `${Number(total.toPrecision(3))} ms`;
  const parts = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1000]];
  const first = parts.findIndex(([, size]) => total >= size);
  const [unit, size] = parts[first];
  const whole = Math.floor(total / size);
  const next = parts[first + 1];
  const rest = next ? Math.floor((total % size) / next[1]) : 0;
  return rest ? `${whole}${unit} ${rest}${next[0]}` : `${whole}${unit}`;
}

export function ago(milliseconds, now = Date.now()) {
  if (isMissing(milliseconds) || Number(milliseconds) <= 0) return DASH;
  return now - milliseconds < 1000 ? "just now" : `${duration(now - milliseconds)} ago`;
}

const pad = (value, length = 2) => String(value).padStart(length, "0");

export function clock(milliseconds, withMillis = false) {
  const at = new Date(milliseconds);
  const time = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  return withMillis ? `${time}.${pad(at.getMilliseconds(), 3)}` : time;
}

export function dateTime(milliseconds) {
  if (isMissing(milliseconds)) return DASH;
  const at = new Date(milliseconds);
  if (Number.isNaN(at.getTime())) return DASH;
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${clock(milliseconds)}`;
}

// Unit of a metric by its name, as Prometheus' naming rules have it.
export function unitOf(query) {
  if (/_bytes|_octets/.test(query)) return /rate\(|irate\(|deriv\(/.test(query) ? bytesPerSecond : bytes;
  if (/_seconds\b/.test(query) && !/rate\(/.test(query) && !/timestamp|time_seconds/.test(query)) return seconds;
  return number;
}
