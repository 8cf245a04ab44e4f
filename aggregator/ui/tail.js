// Live tail over a WebSocket. Bounded: the newest lines stay, older ones leave the page; while it
// is paused lines are counted and kept up to the same bound.

import { loki } from "./api.js";
import { logRows } from "./logrows.js";

const LINES_MAX = 1000;
const RETRY_MS = [1000, 2000, 5000, 10_000];

export class Tail {
  // `host` receives rows, newest on top; `onState(text)` is told how it goes.
  constructor(host, query, { onState, onFilter }) {
    Object.assign(this, { host, query, onState, onFilter, isPaused: false, isOver: false });
    Object.assign(this, { waiting: [], seen: 0, dropped: 0, failures: 0 });
    this.connect();
  }

  connect() {
    this.onState("connecting…");
    this.socket = loki.tail(this.query, Date.now() - 5000);
    this.socket.onopen = () => this.report();
    this.socket.onmessage = (event) => this.receive(event.data);
    this.socket.onclose = (event) => this.closed(event);
  }

  receive(text) {
    this.failures = 0;
    const { streams, dropped_entries: dropped } = JSON.parse(text);
    this.dropped += dropped?.length ?? 0;
    const rows = logRows(streams, { onFilter: this.onFilter });
    this.seen += rows.length;
    this.waiting.unshift(...rows);
    if (this.waiting.length > LINES_MAX) this.waiting.length = LINES_MAX;
    if (!this.isPaused) this.flush();
    this.report();
  }

  flush() {
    this.host.prepend(...this.waiting.map((row) => row.element()));
    this.waiting = [];
    while (this.host.childElementCount > LINES_MAX) this.host.lastElementChild.remove();
  }

  pause(isPaused) {
    this.isPaused = isPaused;
    if (!isPaused) this.flush();
    this.report();
  }

  report() {
    const state = this.isPaused ? `paused, ${this.waiting.length} waiting` : "following";
    const dropped = this.dropped ? `, ${this.dropped} dropped because this page is slower than the log` : "";
    this.onState(`${state}; ${this.seen} lines${dropped}`);
  }

  closed(event) {
    if (this.isOver) return;
    const pause = RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)];
    this.failures += 1;
    this.onState(`connection lost${event.reason ? ` (${event.reason})` : ""}; trying again in ${pause / 1000} s`);
    this.timer = setTimeout(() => this.connect(), pause);
  }

  stop() {
    this.isOver = true;
    clearTimeout(this.timer);
    this.socket.close();
  }
}
