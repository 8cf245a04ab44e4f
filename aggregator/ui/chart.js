// A time-series chart: uPlot for the lines, our own legend (a table, which is also the accessible
// alternative to the drawing), a cursor shared by all charts, and dragging to zoom.

import { h, replace, seriesName } from "./dom.js";
import { bytes, bytesPerSecond, clock, dateTime, number } from "./format.js";
import { colour, seriesColour } from "./theme.js";
import { setAbsolute } from "./timerange.js";

const LEGEND_ROWS = 12;
const LEGEND_ROWS_TALL = 60;
const SERIES_MAX = 60;

// Prometheus' matrix as uPlot's columns; instants without a sample are holes, never zero.
function columns(matrix, range, step) {
  const first = Math.floor(range.from / 1000 / step) * step;
  const count = Math.floor((range.to / 1000 - first) / step) + 1;
  const offset = matrix[0]?.values?.length ? (((matrix[0].values[0][0] - first) % step) + step) % step : 0;
  const times = Array.from({ length: count }, (_, i) => first + offset + i * step);
  const lines = matrix.map(({ values }) => {
    const line = new Array(count).fill(null);
    for (const [time, text] of values ?? []) {
      const value = Number(text);
      const i = Math.round((time - times[0]) / step);
      if (i >= 0 && i < count && Number.isFinite(value)) line[i] = value;
    }
    return line;
  });
  return [times, ...lines];
}

// Bytes read best in steps of 1, 2, 4… KiB.
const POWERS_OF_TWO = Array.from({ length: 54 }, (_, i) => 2 ** (i - 3));
const isBinary = (format) => format === bytes || format === bytesPerSecond;

function axes(format) {
  const common = { stroke: colour("dim"), grid: { stroke: colour("grid"), width: 1 }, ticks: { stroke: colour("grid"), width: 1, size: 4 }, font: "11px system-ui, sans-serif" };
  const stamp = (seconds, withDate) => {
    const text = dateTime(seconds * 1000);
    return withDate ? text.slice(5, 16) : clock(seconds * 1000).slice(0, 5);
  };
  const times = (self, splits) => {
    const isLong = splits.at(-1) - splits[0] > 86_400;
    const isShort = splits.length > 1 && splits[1] - splits[0] < 60;
    return splits.map((split) => (isShort ? clock(split * 1000) : stamp(split, isLong)));
  };
  return [
    { ...common, values: times, space: 70, size: 26 },
    { ...common, values: (self, splits) => splits.map(format), size: 64, space: 26, incrs: isBinary(format) ? POWERS_OF_TWO : undefined },
  ];
}

// A scale with some room on both sides, so that a constant does not lie on the edge; what is never
// negative does not show negative room.
function aroundData(low, high) {
  const room = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
}

export class Chart {
  constructor({ height = 170, format = number, name = seriesName, min = 0, max, legend = true, isTall = false, label = "chart" } = {}) {
    Object.assign(this, { height, format, name, min, max, showLegend: legend });
    this.legendRows = isTall ? LEGEND_ROWS_TALL : LEGEND_ROWS;
    this.plotHost = h("div", { class: "plot", role: "img", "aria-label": label });
    this.legendHost = h("div", { class: isTall ? "legend tall" : "legend" });
    this.element = h("div", { class: "chart" }, this.plotHost, legend && this.legendHost);
    this.hidden = new Set();
    this.solo = null;
    this.plot = null;
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.plotHost);
  }

  // The shared cursor knows every plot until it is told that one is gone.
  destroy() {
    this.observer.disconnect();
    this.plot?.destroy();
    this.plot = null;
  }

  resize() {
    const width = this.plotHost.clientWidth;
    if (this.plot && width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: this.height });
  }

  draw(matrix, range, step) {
    this.total = matrix.length;
    this.matrix = matrix.slice(0, SERIES_MAX);
    this.names = this.matrix.map(({ metric }) => this.name(metric));
    this.data = columns(this.matrix, range, step);
    this.range = range;
    const theme = document.documentElement.dataset.theme;
    const shape = `${theme}\n${this.names.join("\n")}`;
    if (this.plot && shape === this.shape) {
      this.plot.setData(this.data, false);
      this.plot.setScale("x", { min: range.from / 1000, max: range.to / 1000 });
    } else {
      this.shape = shape;
      this.plot?.destroy();
      this.plot = new uPlot(this.options(), this.data, this.plotHost);
    }
    this.showSeries();
    this.drawLegend(null);
  }

  options() {
    const [from, to] = [this.range.from / 1000, this.range.to / 1000];
    const spread = (self, low, high) => {
      if (this.min === null) return aroundData(low ?? 0, high ?? 1);
      const bottom = Math.min(this.min, low ?? 0);
      const top = high > bottom ? high + (high - bottom) * 0.08 : bottom + 1;
      return [bottom, this.max ?? top];
    };
    return {
      width: Math.max(this.plotHost.clientWidth, 200),
      height: this.height,
      legend: { show: false },
      padding: [8, 22, 0, 0],
      cursor: { sync: { key: "bellwether" }, drag: { x: true, y: false, setScale: false }, points: { size: 5 } },
      scales: { x: { time: true, range: (self, min, max) => [min ?? from, max ?? to], min: from, max: to }, y: { range: spread } },
      axes: axes(this.format),
      series: [{}, ...this.names.map((label, i) => ({ label, stroke: seriesColour(i), width: 1.4, points: { size: 4, show: this.isSparse(i) }, spanGaps: false }))],
      hooks: {
        setCursor: [(self) => this.drawLegend(self.cursor.idx ?? null)],
        setSelect: [(self) => this.zoom(self)],
        ready: [(self) => self.setScale("x", { min: from, max: to })],
      },
    };
  }

  // A line of very few points would be invisible without dots.
  isSparse(index) {
    return this.data[index + 1].filter((value) => value !== null).length < 3;
  }

  zoom(self) {
    const { left, width } = self.select;
    if (width < 4) return;
    const [from, to] = [self.posToVal(left, "x"), self.posToVal(left + width, "x")];
    self.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    setAbsolute(from * 1000, to * 1000);
  }

  isShown(i) {
    return this.solo === null ? !this.hidden.has(this.names[i]) : this.names[i] === this.solo;
  }

  showSeries() {
    this.names.forEach((_, i) => {
      if (this.plot.series[i + 1].show !== this.isShown(i)) this.plot.setSeries(i + 1, { show: this.isShown(i) });
    });
  }

  // A click shows one line alone, with Ctrl it hides or shows one.
  toggle(i, keepOthers) {
    const name = this.names[i];
    if (keepOthers) {
      this.solo = null;
      if (!this.hidden.delete(name)) this.hidden.add(name);
    } else {
      this.solo = this.solo === name ? null : name;
    }
    this.showSeries();
    this.drawLegend(null);
  }

  valueAt(i, index) {
    const line = this.data[i + 1];
    if (index !== null) return line[index];
    return line.findLast((value) => value !== null);
  }

  // Values under the cursor, or the last ones.
  drawLegend(index) {
    if (!this.showLegend) return;
    const rows = this.names.slice(0, this.legendRows).map((name, i) =>
      h("tr", { class: this.isShown(i) ? "" : "off" },
        h("td", {}, h("button", { type: "button", class: "quiet name", title: `${name}\nclick: only this one, Ctrl+click: hide`, onclick: (event) => this.toggle(i, event.ctrlKey || event.metaKey) },
          h("i", { class: `swatch s${i % 8}`, "aria-hidden": "true" }), name)),
        h("td", { class: "num" }, this.format(this.valueAt(i, index)))));
    const more = this.total - rows.length;
    const when = index === null ? "last" : dateTime(this.data[0][index] * 1000);
    replace(this.legendHost,
      h("table", {}, h("caption", { class: "sr-only" }, `values, ${when}`), h("tbody", {}, rows)),
      more > 0 && h("p", { class: "dim" }, `and ${more} more series; aggregate or add matchers`));
  }
}
