// A line among its neighbours: what its stream said before and after it. The address names the line
// for good, so it can be sent to somebody.

import { bellwether } from "../api.js";
import { empty, h, labelText, replace } from "../dom.js";
import { dateTime } from "../format.js";
import { selectorOf } from "../logquery.js";
import { LogRow } from "../logrows.js";
import { failure } from "../panel.js";
import { href, read } from "../router.js";

const FIRST = 20;
const MOST = 1000;

export default function context(main) {
  const list = h("div", { class: "log-list" });
  const facts = h("div", { class: "facts" });
  const back = h("a", { class: "contents" }, "search around this time");
  const more = (side, text) => h("button", { type: "button", hidden: true, onclick: () => widen(side) }, text);
  const [older, younger] = [more("before", "older lines"), more("after", "younger lines")];
  const around = (button) => h("div", { class: "around" }, button);
  main.append(h("div", { class: "title" }, h("h1", {}, "Lines around a line"), facts, back),
    h("section", { class: "panel" }, around(older), list, around(younger)));
  let counts = { before: FIRST, after: FIRST };
  let controller = null;
  let hasScrolled = false;

  function widen(side) {
    counts = { ...counts, [side]: Math.min(MOST, counts[side] * 5) };
    return load();
  }

  async function load() {
    controller?.abort();
    const { signal } = (controller = new AbortController());
    const { params } = read();
    const address = { id: params.get("id") ?? "", time: params.get("time") ?? "", stream: params.get("stream") ?? "" };
    try {
      const found = await bellwether.context(address, counts, { signal });
      if (!signal.aborted) draw(found);
    } catch (error) {
      if (signal.aborted) return;
      replace(list, /no such line/.test(error.message) ? empty("This line is not stored any more.", "It was deleted, or is older than the logs are kept.") : failure(error, load));
    }
  }

  function draw({ stream, before, line, after }) {
    const at = Number(BigInt(line.time) / 1_000_000n);
    replace(facts, h("span", {}, dateTime(at)), h("span", { class: "labels" }, labelText(stream)));
    back.href = href("logs", [], { q: selectorOf(stream), from: at - 300_000, to: at + 300_000 });
    const row = ({ id, time, line: text, metadata }) => new LogRow(time, text, { ...stream, ...metadata }, null, { id, time, stream: selectorOf(stream) });
    const anchor = row(line).element();
    anchor.classList.add("anchor");
    replace(list, before.map((one) => row(one).element()), anchor, after.map((one) => row(one).element()));
    const isMore = (side, lines) => lines.length >= counts[side] && counts[side] < MOST;
    [older.hidden, younger.hidden] = [!isMore("before", before), !isMore("after", after)];
    if (!hasScrolled) anchor.scrollIntoView({ block: "center" });
    hasScrolled = true;
  }

  load();
  return { update: load, isLiveByItself: true, stop: () => controller?.abort() };
}
