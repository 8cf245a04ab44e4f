#!/usr/bin/env python3
"""How long does a log store take to answer, over its Loki API?

    log_queries.py --url http://127.0.0.1:9390 --start 1764000000 --span 21600 --pid 4711

Asks ten kinds of question of whatever lies between `start` and `start + span` (Unix
seconds), each several times over one kept connection, and prints the median of the whole
request in milliseconds, the CPU milliseconds that the server spent on one (with `--pid`,
from /proc; steps of 10 ms are shared out over all runs), the size of the answer, and the
bar. The bars hold for 3 million lines of 20 applications, 16 of them loghub systems and 4
of JSON requests with a `trace_id`, on two cores; for other data read the times and forget
the bars. Wall times move with whatever else the machine does: run it on a quiet one.

Runs against any Loki-compatible URL. `--json` prints one JSON object instead. `--check`
exits 1 when a bar is missed. Needs Python 3.11 and nothing else.
"""

import argparse
import http.client
import json
import os
import re
import statistics
import sys
import time
import urllib.parse

EVERYTHING = '{app=~".+"}'
NS = 1_000_000_000


class Loki:
    """One kept connection to a server."""

    def __init__(self, url, timeout_seconds):
        parts = urllib.parse.urlsplit(url)
        self.prefix = parts.path.rstrip("/")
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=timeout_seconds)

    def get(self, path, params):
        """The answer's bytes, and how long it took in milliseconds."""
        target = f"{self.prefix}{path}?{urllib.parse.urlencode(params)}"
        begun = time.perf_counter()
        self.connection.request("GET", target)
        reply = self.connection.getresponse()
        body = reply.read()
        took_ms = (time.perf_counter() - begun) * 1000
        if reply.status != 200:
            raise SystemExit(f"{path} answered {reply.status}: {body[:300].decode(errors='replace')}")
        return body, took_ms


class Question:
    """One request; `bar_ms` is what its median should not exceed."""

    def __init__(self, name, bar_ms, path, **params):
        self.name, self.bar_ms, self.path, self.params = name, bar_ms, path, params


def questions(start, span, trace_id):
    """Every question, over the whole range."""
    end = start + span

    def instant(name, bar_ms, query):
        return Question(name, bar_ms, "/loki/api/v1/query", query=query, time=end * NS)

    def lines(name, bar_ms, query, limit):
        return Question(name, bar_ms, "/loki/api/v1/query_range", query=query, start=start * NS, end=end * NS, limit=limit, direction="backward")

    def histogram(name, bar_ms, query):
        return Question(name, bar_ms, "/loki/api/v1/query_range", query=query, start=start * NS, end=end * NS, step="300s")

    window = f"[{span}s]"
    return [
        lines("one trace id", 3, f'{EVERYTHING} |= "{trace_id}"', 100),
        lines("an id that no line has", 3, f'{EVERYTHING} |= "{trace_id[::-1]}"', 100),
        lines("last 100 lines with a frequent word", 10, f'{EVERYTHING} |= "error"', 100),
        instant("count of a word", 60, f'sum(count_over_time({EVERYTHING} |= "error" {window}))'),
        instant("count of a phrase", 15, f'sum(count_over_time({EVERYTHING} |= "authentication failure" {window}))'),
        instant("count of a regular expression", 120, f'sum(count_over_time({EVERYTHING} |~ "blk_-?[0-9]+99" {window}))'),
        instant("count of a substring", 120, f'sum(count_over_time({EVERYTHING} |= "ailed pass" {window}))'),
        instant("count by application", 2, f"sum by (app) (count_over_time({EVERYTHING}{window}))"),
        histogram("histogram of a word, 5 m", 50, f'sum(count_over_time({EVERYTHING} |= "error" [5m]))'),
        instant("p99 of a JSON field by path, 4 apps", 300, f'quantile_over_time(0.99, {{app=~"shop-.+"}} | json | unwrap duration_ms {window}) by (path)'),
    ]


def sample_trace_id(loki, start, span):
    """A trace id of some line in the middle of the range."""
    params = {"query": '{app=~"shop-.+"} |= "trace_id"', "start": (start + span // 2) * NS, "end": (start + span) * NS, "limit": 1, "direction": "forward"}
    found = re.search(rb'trace_id\\?":\\?"([0-9a-f]{32})', loki.get("/loki/api/v1/query_range", params)[0])
    if not found:
        raise SystemExit("no line of an application `shop-…` with a `trace_id` in the second half of the range")
    return found[1].decode()


def cpu_ms(pid):
    """CPU time of a process so far, its finished threads included."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def measure(loki, question, pid, runs, seconds):
    """Median and least milliseconds, CPU milliseconds of one run, and the answer."""
    answer, first_ms = loki.get(question.path, question.params)
    times = []
    begun, cpu_before = time.perf_counter(), cpu_ms(pid) if pid else 0
    while len(times) < runs or time.perf_counter() - begun < seconds:
        answer, took_ms = loki.get(question.path, question.params)
        times.append(took_ms)
    cpu = (cpu_ms(pid) - cpu_before) / len(times) if pid else None
    return {
        "name": question.name,
        "bar_ms": question.bar_ms,
        "median_ms": round(statistics.median(times), 2),
        "least_ms": round(min(times), 2),
        "first_ms": round(first_ms, 2),
        "cpu_ms": None if cpu is None else round(cpu, 2),
        "runs": len(times),
        "answer": gist(answer),
    }


def gist(answer):
    """What the answer says, in a few characters, so that two servers can be compared."""
    data = json.loads(answer)["data"]
    result = data["result"]
    if data["resultType"] == "streams":
        return f"{sum(len(stream['values']) for stream in result)} lines"
    if data["resultType"] == "matrix":
        total = sum(float(value) for series in result for _, value in series["values"])
        return f"{len(result)} series, sum {total:.6g}"
    total = sum(float(sample["value"][1]) for sample in result)
    return f"{len(result)} series, sum {total:.9g}"


def show(figures):
    """One line of the table."""
    verdict = "ok" if figures["median_ms"] <= figures["bar_ms"] else "MISSED"
    cpu = "" if figures["cpu_ms"] is None else f"{figures['cpu_ms']:.1f}"
    print(f"{figures['name']:<38}{figures['median_ms']:>9.1f}{figures['least_ms']:>9.1f}{figures['first_ms']:>9.1f}{cpu:>9}{figures['bar_ms']:>7}  {verdict:<7}{figures['answer']}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="of the server, without /loki/api/v1")
    parser.add_argument("--start", type=int, required=True, help="Unix seconds of the first line")
    parser.add_argument("--span", type=int, required=True, help="seconds that the lines span")
    parser.add_argument("--pid", type=int, help="of the server, to read its CPU time")
    parser.add_argument("--runs", type=int, default=11, help="least number of runs of each question")
    parser.add_argument("--seconds", type=float, default=1, help="least time spent on each question")
    parser.add_argument("--timeout", type=float, default=120, help="of one request, in seconds")
    parser.add_argument("--only", help="ask only questions whose name has this text")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    args = parser.parse_args()
    loki = Loki(args.url, args.timeout)
    trace_id = sample_trace_id(loki, args.start, args.span)
    if not args.json:
        print(f"{'question':<38}{'median':>9}{'least':>9}{'first':>9}{'CPU':>9}{'bar':>7}  (ms)")
    results = []
    for question in questions(args.start, args.span, trace_id):
        if args.only and args.only not in question.name:
            continue
        results.append(measure(loki, question, args.pid, args.runs, args.seconds))
        if not args.json:
            show(results[-1])
    if args.json:
        print(json.dumps({"url": args.url, "questions": results}))
    missed = any(figures["median_ms"] > figures["bar_ms"] for figures in results)
    return 1 if args.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
