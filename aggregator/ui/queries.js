// What the overview and the host page ask, in node_exporter's names.

const FILESYSTEMS = 'fstype!~"tmpfs|ramfs|devtmpfs|squashfs|iso9660|nsfs|autofs|efivarfs|fuse.*"';

// Interfaces that only pass on what another one has counted.
const NICS = ',device!~"lo|ifb.*|dummy.*|veth.*"';

const quoted = (value) => JSON.stringify(value);

// One value for each instance.
export const FLEET = {
  // A share of all modes is right from the second sample on; `1 - idle` would start at 100 %.
  cpu: '100 * sum by (instance) (rate(node_cpu_seconds_total{mode!~"idle|iowait"}[1m])) / sum by (instance) (rate(node_cpu_seconds_total[1m]))',
  memory: "100 * (1 - max by (instance) (node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes))",
  disk: `100 * max by (instance) (1 - node_filesystem_avail_bytes{${FILESYSTEMS}} / (node_filesystem_size_bytes{${FILESYSTEMS}} > 0))`,
  network: 'sum by (instance) (rate(node_network_receive_bytes_total{device!="lo"}[1m])) + sum by (instance) (rate(node_network_transmit_bytes_total{device!="lo"}[1m]))',
};

// Sections of the host page; `unit` names a function of format.js.
export function hostSections(instance) {
  const at = `instance=${quoted(instance)}`;
  const rate = (metric, more = "") => `rate(${metric}{${at}${more}}[1m])`;
  return [
    { id: "cpu", title: "CPU", charts: [
      { title: "CPU by mode", unit: "percent", max: 100, by: "mode", query: `100 * sum by (mode) (${rate("node_cpu_seconds_total", ',mode!="idle"')}) / scalar(sum(${rate("node_cpu_seconds_total")}))` },
      { title: "Load", unit: "number", by: "over", query: ["1", "5", "15"].map((minutes) => named(`node_load${minutes}{${at}}`, "over", `${minutes} min`)).join(" or ") },
      { title: "Waiting for (pressure)", unit: "percent", by: "resource", query: pressure(at) },
    ] },
    { id: "memory", title: "Memory", charts: [
      { title: "Memory", unit: "bytes", by: "kind", query: memory(at) },
      { title: "Paging", unit: "number", by: "kind", query: named(rate("node_vmstat_pgmajfault"), "kind", "major faults/s") },
    ] },
    { id: "disk", title: "Disk", charts: [
      { title: "Space used", unit: "percent", max: 100, by: "mountpoint", query: `100 * max by (mountpoint) (1 - node_filesystem_avail_bytes{${at},${FILESYSTEMS}} / (node_filesystem_size_bytes{${at},${FILESYSTEMS}} > 0))` },
      { title: "Read and written", unit: "bytesPerSecond", by: "way", query: both(rate("node_disk_read_bytes_total"), rate("node_disk_written_bytes_total"), "read", "written") },
      { title: "Busy", unit: "percent", by: "device", query: `100 * ${rate("node_disk_io_time_seconds_total")}` },
    ] },
    { id: "network", title: "Network", charts: [
      { title: "Traffic", unit: "bytesPerSecond", by: "way", query: both(rate("node_network_receive_bytes_total", NICS), rate("node_network_transmit_bytes_total", NICS), "in", "out") },
      { title: "Errors and drops", unit: "number", by: "kind", query: networkErrors(rate) },
      { title: "TCP connections", unit: "number", by: "kind", query: named(`node_netstat_Tcp_CurrEstab{${at}}`, "kind", "established") },
    ] },
  ];
}

const named = (query, label, value) => `label_replace(${query}, ${quoted(label)}, ${quoted(value)}, "", "")`;

const both = (first, second, firstName, secondName) =>
  `${named(`sum by (device) (${first})`, "way", firstName)} or ${named(`sum by (device) (${second})`, "way", secondName)}`;

const pressure = (at) =>
  ["cpu", "memory", "io"]
    .map((resource) => named(`100 * rate(node_pressure_${resource}_waiting_seconds_total{${at}}[1m])`, "resource", resource))
    .join(" or ");

function memory(at) {
  const metric = (name) => `node_memory_${name}_bytes{${at}}`;
  return [
    named(`${metric("MemTotal")} - ${metric("MemAvailable")}`, "kind", "used"),
    named(`${metric("Cached")} + ${metric("Buffers")}`, "kind", "cache"),
    named(`${metric("SwapTotal")} - ${metric("SwapFree")}`, "kind", "swap used"),
    named(metric("MemTotal"), "kind", "total"),
  ].join(" or ");
}

const networkErrors = (rate) =>
  [["receive_errs", "in errors"], ["transmit_errs", "out errors"], ["receive_drop", "in drops"], ["transmit_drop", "out drops"]]
    .map(([name, kind]) => named(`sum(${rate(`node_network_${name}_total`)})`, "kind", kind))
    .join(" or ");

// What this server refused, by reason; `$range` is the width of the view.
export const REFUSED = {
  items: "sum by (protocol, reason) (increase(bellwether_receive_rejected_total[$range]))",
  requests: "sum by (protocol, reason) (increase(bellwether_receive_failures_total[$range]))",
};

const own = (metric) => `rate(${metric}{job="bellwether"}[1m])`;

export const STATUS_CHARTS = [
  { title: "Stored per second", unit: "number", by: "protocol", query: `sum by (protocol) (${own("bellwether_receive_items_total")})` },
  { title: "Received", unit: "bytesPerSecond", by: "protocol", query: `sum by (protocol) (${own("bellwether_receive_body_bytes_total")})` },
  { title: "Hosts reporting", unit: "number", by: "job", query: "sum by (job) (up)" },
  { title: "Processor time of this server", unit: "percent", by: "instance", query: `100 * sum by (instance) (${own("process_cpu_seconds_total")})` },
  { title: "Memory of this server", unit: "bytes", by: "instance", query: 'process_resident_memory_bytes{job="bellwether"}' },
];
