#!/usr/bin/env python3
"""Which of two servers answers dashboard queries faster, and by how much?

Question: median wall time and CPU time of what a dashboard over a fleet asks, of two servers that
speak the Prometheus HTTP API, side by side on one machine.
Corpus: recorded node_exporter scrapes replayed as a fleet by `loadgen metrics` (200 hosts of 507
series), the same bytes to both servers; `--load` does that, otherwise the servers hold it already.
Method: for each query the servers take turns, so that what disturbs one disturbs the other; the first
round warms up and is not counted. Answers are read whole, and compared by the number of series and
points. Result caches are asked to stay out (`nocache=1`, which VictoriaMetrics heeds).
CPU time is the process's own (`/proc/PID/stat`) over all counted rounds of a query.
Caveats: wall times on a shared machine vary; compare ratios. One client asks one query at a time, each on
a connection of its own (with `--keep-alive` on one), which takes a client of Python as long as a listing.

    queries.py --a http://127.0.0.1:9390 --a-pid 123 --b http://127.0.0.1:8428 --b-pid 456 \\
        --load loadgen --recording node_exporter-2400-scrapes.txt.gz --end 1790000000

Standard library only. Ratios are A to B: below 1, A is faster.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.parse
import urllib.request

HOUR = 3600
# Name, expression, hours back, step in seconds; a step of 0 is an instant query.
QUERIES = [
    ("cpu by host, 1 h", 'sum by (instance)(rate(node_cpu_seconds_total{mode!="idle"}[5m]))', 1, 15),
    ("cpu by host, 6 h", 'sum by (instance)(rate(node_cpu_seconds_total{mode!="idle"}[5m]))', 6, 60),
    ("cpu by host, 24 h", 'sum by (instance)(rate(node_cpu_seconds_total{mode!="idle"}[5m]))', 24, 300),
    ("cpu of some hosts, 24 h", 'sum by (mode)(rate(node_cpu_seconds_total{instance=~".*17.*"}[5m]))', 24, 60),
    ("p99 over hosts, 1 h", "quantile(0.99, node_load1)", 1, 15),
    ("p99 over hosts, 24 h", "quantile(0.99, node_load1)", 24, 300),
    ("top 5 by traffic, 1 h", "topk(5, sum by (instance)(rate(node_network_receive_bytes_total[5m])))", 1, 15),
    ("memory share, 6 h", "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", 6, 60),
    (
        "join with uname, 1 h",
        "node_load1 * on (instance) group_left (release, nodename) node_uname_info",
        1,
        15,
    ),
    ("regex on name, 1 h", 'sum by (__name__)({__name__=~"node_netstat_Tcp.*"})', 1, 60),
    ("regex on label, 6 h", 'sum by (device)(rate(node_disk_io_time_seconds_total{device=~"[sv]d.+"}[5m]))', 6, 60),
    ("max over time, 24 h", "max by (instance)(max_over_time(node_load5[1h]))", 24, 300),
    ("count of everything, now", 'count({__name__=~".+"})', 0, 0),
]
# Path and parameters; times are filled in.
LISTINGS = [
    ("label values, 24 h", "/api/v1/label/instance/values", {}),
    ("label values of a metric", "/api/v1/label/mode/values", {"match[]": "node_cpu_seconds_total"}),
    ("metric names", "/api/v1/label/__name__/values", {}),
    ("series of a metric", "/api/v1/series", {"match[]": "node_filesystem_avail_bytes"}),
]


class Server:
    """One of the two."""

    def __init__(self, url, pid, keeps_connection):
        self.url = url.rstrip("/")
        self.pid = pid
        parts = urllib.parse.urlsplit(self.url)
        self.path = parts.path
        self.connection = http.client.HTTPConnection(parts.netloc, timeout=120) if keeps_connection else None

    def cpu_seconds(self):
        if not self.pid:
            return 0.0
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, path, params):
        """Seconds, and the answer's data."""
        target = f"{path}?{urllib.parse.urlencode(params)}"
        begun = time.monotonic()
        if self.connection:
            self.connection.request("GET", self.path + target)
            response = self.connection.getresponse()
            body = response.read()
            if response.status != 200:
                raise RuntimeError(f"{self.url}{target}: {response.status} {body[:300]}")
        else:
            with urllib.request.urlopen(self.url + target, timeout=120) as response:
                body = response.read()
        return time.monotonic() - begun, body


def shape(body):
    """How many elements and points an answer has."""
    data = json.loads(body)["data"]
    if isinstance(data, list):
        return len(data), len(data)
    result = data["result"]
    return len(result), sum(len(series.get("values", [0])) for series in result)


def cases(end):
    """What is asked: name, path, parameters."""
    for name, expression, hours, step in QUERIES:
        if step == 0:
            yield name, "/api/v1/query", {"query": expression, "time": end, "nocache": 1}
            continue
        params = {"query": expression, "start": end - hours * HOUR, "end": end, "step": step, "nocache": 1}
        yield name, "/api/v1/query_range", params
    for name, path, params in LISTINGS:
        yield name, path, {**params, "start": end - 24 * HOUR, "end": end}


def measure(servers, path, params, rounds):
    """For each server: median seconds, CPU seconds a query, and the answer's shape."""
    seconds = [[] for _ in servers]
    cpu = [0.0 for _ in servers]
    shapes = [shape(server.ask(path, params)[1]) for server in servers]
    for _ in range(rounds):
        for i, server in enumerate(servers):
            before = server.cpu_seconds()
            seconds[i].append(server.ask(path, params)[0])
            cpu[i] += server.cpu_seconds() - before
    return [(statistics.median(seconds[i]), cpu[i] / rounds, shapes[i]) for i in range(len(servers))]


def load(arguments, servers):
    """Gives both servers the same samples, up to `--end`."""
    start = arguments.end - (arguments.scrapes - 1) * arguments.interval
    for server in servers:
        command = [arguments.load, "metrics", "--url", f"{server.url}/api/v1/write"]
        command += ["--recording", arguments.recording, "--hosts", str(arguments.hosts)]
        command += ["--scrapes", str(arguments.scrapes), "--interval", str(arguments.interval)]
        command += ["--start", str(start), "--settle", str(arguments.settle)]
        if server.pid:
            command += ["--pid", str(server.pid)]
        subprocess.run(command, check=True, stdout=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--a", required=True, help="address of the server that is judged")
    parser.add_argument("--b", required=True, help="address of the one it is compared with")
    parser.add_argument("--a-pid", type=int, help="its process, for CPU time")
    parser.add_argument("--b-pid", type=int)
    parser.add_argument("--end", type=int, default=int(time.time()), help="last sample, Unix seconds")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="only queries whose name has this text")
    parser.add_argument(
        "--keep-alive", action="store_true", help="one connection for all requests, as dashboards have them"
    )
    parser.add_argument("--load", help="the loadgen program; loads both servers first")
    parser.add_argument("--recording", help="what it replays")
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--scrapes", type=int, default=240)
    parser.add_argument("--interval", type=int, default=15)
    parser.add_argument("--settle", type=int, default=20)
    arguments = parser.parse_args()
    keeps = arguments.keep_alive
    servers = [Server(arguments.a, arguments.a_pid, keeps), Server(arguments.b, arguments.b_pid, keeps)]
    if arguments.load:
        load(arguments, servers)
    print(f"{'':28} {'A ms':>8} {'B ms':>8} {'ratio':>6}   {'A cpu':>7} {'B cpu':>7} {'ratio':>6}  series, points")
    ratios = []
    for name, path, params in cases(arguments.end):
        if arguments.only not in name:
            continue
        a, b = measure(servers, path, params, arguments.rounds)
        ratio = a[0] / b[0]
        ratios.append(ratio)
        cpu_ratio = f"{a[1] / b[1]:6.2f}" if b[1] else "     -"
        note = f"{a[2]}" if a[2] == b[2] else f"{a[2]} but B {b[2]}"
        print(
            f"{name:28} {a[0] * 1e3:8.1f} {b[0] * 1e3:8.1f} {ratio:6.2f}   "
            f"{a[1] * 1e3:7.1f} {b[1] * 1e3:7.1f} {cpu_ratio}  {note}",
            flush=True,
        )
    if ratios:
        print(f"{'geometric mean of ratios':28} {statistics.geometric_mean(ratios):24.2f}")


if __name__ == "__main__":
    main()
