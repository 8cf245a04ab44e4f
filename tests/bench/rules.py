#!/usr/bin/env python3
"""What does it cost a server to evaluate a thousand rules over a hundred thousand series?

Question: CPU time that rules take, of any server that speaks remote write and evaluates rule files
in Prometheus' format; several are measured one after the other under the same load.
Corpus: made here, the same for each: 200 hosts of 507 series, counters and gauges, a sample every
15 s. 1,000 rules in 100 groups every 15 s: a quarter each averages by instance, thresholds that
nothing reaches, summed rates over 5 minutes, and maxima by instance; each reads 1,000 series.
Method: the server starts with an empty rule file and takes six minutes of history at once, then a
scrape every 15 s. CPU is the process's own (`/proc/PID/stat`), first without the rules, then, after
SIGHUP has brought them in and one interval has passed, with them. The difference is theirs. That
they were evaluated is read from the series that they record.
Caveats: on a machine that does something else, caches are shared and the figures are upper bounds.

    rules.py --start 'bellwether=bellwether serve --data-dir {dir} --listen 127.0.0.1:{port} \\
                 --rules {rules} --no-shipped-rules' \\
             --start 'prometheus=prometheus --config.file={config} --storage.tsdb.path={dir} \\
                 --web.listen-address=127.0.0.1:{port} --web.enable-remote-write-receiver'

Standard library only. Servers listen on loopback and are ended when they have been measured.
"""

import argparse
import json
import os
import pathlib
import shlex
import signal
import struct
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

INTERVAL = 15
HISTORY = 24
SERIES_A_REQUEST = 5_000
METRICS = 100
DEVICES = 5
ALONE = 7


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, body):
    """A length-delimited field of a protobuf message."""
    return varint(number << 3 | 2) + varint(len(body)) + body


def label(name, value):
    return field(1, field(1, name.encode()) + field(2, value.encode()))


def snappy(body):
    """The block format, with nothing but literals."""
    out = [varint(len(body))]
    for at in range(0, len(body), 65_536):
        part = body[at : at + 65_536]
        out.append(b"\xf4" + struct.pack("<H", len(part) - 1) + part)
    return b"".join(out)


def series(hosts):
    """The labels of every series, encoded, and whether it is a counter."""
    found = []
    for host in range(hosts):
        where = label("instance", f"host-{host:03}") + label("job", "node")
        for metric in range(METRICS):
            for device in range(DEVICES):
                name = label("__name__", f"bench_metric_{metric:03}") + label("device", f"d{device}")
                found.append((name + where, metric % 2 == 0))
        found += [(label("__name__", f"bench_alone_{n}") + where, False) for n in range(ALONE)]
    return found


def requests(all_series, at_ms, tick):
    """The bodies of one scrape of everything."""
    for begin in range(0, len(all_series), SERIES_A_REQUEST):
        body = bytearray()
        for index, (labels, counts) in enumerate(all_series[begin : begin + SERIES_A_REQUEST], begin):
            value = float(tick * (index % 97 + 1) if counts else (index * 31 + tick * 7) % 1000)
            sample = b"\x09" + struct.pack("<d", value) + b"\x10" + varint(at_ms)
            body += field(1, labels + field(2, sample))
        yield snappy(bytes(body))


def rule(number):
    metric = f"bench_metric_{number // 4 % METRICS:03}"
    match number % 4:
        case 0:
            return f"  - {{record: 'bench:average:{number}', expr: 'avg by (instance) ({metric})'}}"
        case 1:
            return f"  - {{alert: 'Bench{number}', expr: '{metric} > 1e15', for: 1m}}"
        case 2:
            return f"  - {{record: 'bench:rate:{number}', expr: 'sum(rate({metric}[5m]))'}}"
        case _:
            return f"  - {{record: 'bench:max:{number}', expr: 'max by (instance) ({metric})'}}"


def rule_file(rules, groups):
    lines = ["groups:"]
    for group in range(groups):
        lines += [f"- name: bench-{group}", f"  interval: {INTERVAL}s", "  rules:"]
        lines += [rule(number) for number in range(group, rules, groups)]
    return "\n".join(lines) + "\n"


class Server:
    def __init__(self, command, port, folder):
        self.url = f"http://127.0.0.1:{port}"
        self.rules = folder / "rules.yml"
        config = folder / "prometheus.yml"
        self.rules.write_text("groups: []\n")
        config.write_text(f"rule_files: ['{self.rules}']\n")
        words = {"dir": folder / "data", "port": port, "rules": self.rules, "config": config}
        with open(folder / "log", "wb") as log:
            arguments = [word.format(**words) for word in shlex.split(command)]
            self.process = subprocess.Popen(arguments, stdout=log, stderr=log)
        self.tick = 0
        self.next = 0.0

    def ask(self, path, body=None, headers=()):
        request = urllib.request.Request(self.url + path, data=body, headers=dict(headers))
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.read()

    def wait_ready(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.ask("/-/ready")
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.1)

    def send(self, all_series, at):
        headers = {
            "Content-Encoding": "snappy",
            "Content-Type": "application/x-protobuf",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        }
        self.tick += 1
        for body in requests(all_series, int(at) * 1000, self.tick):
            self.ask("/api/v1/write", body, headers.items())

    def feed(self, all_series, intervals):
        """A scrape every interval; returns after the last."""
        for _ in range(intervals):
            time.sleep(max(0.0, self.next - time.time()))
            self.send(all_series, self.next)
            self.next += INTERVAL

    def cpu_seconds(self):
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        fields = stat.rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def cpu_a_minute(self, all_series, intervals):
        """CPU seconds a minute while it is fed, from one scrape to another."""
        self.feed(all_series, 1)
        before = self.cpu_seconds()
        self.feed(all_series, intervals)
        return (self.cpu_seconds() - before) * 60 / (intervals * INTERVAL)

    def value(self, query):
        answer = json.loads(self.ask("/api/v1/query?" + urllib.parse.urlencode({"query": query})))
        result = answer["data"]["result"]
        return float(result[0]["value"][1]) if result else 0.0


def measure(command, port, arguments):
    all_series = series(arguments.hosts)
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        server = Server(command, port, pathlib.Path(folder))
        try:
            server.wait_ready()
            server.next = time.time() // INTERVAL * INTERVAL - (HISTORY - 1) * INTERVAL
            server.feed(all_series, HISTORY)
            without = server.cpu_a_minute(all_series, arguments.intervals)
            server.rules.write_text(rule_file(arguments.rules, arguments.groups))
            server.process.send_signal(signal.SIGHUP)
            server.feed(all_series, 1)
            with_rules = server.cpu_a_minute(all_series, arguments.intervals)
            recorded = server.value('count({__name__=~"bench:.+"})')
            fed = server.value('count({__name__=~"bench_.+"})')
        finally:
            server.process.terminate()
            server.process.wait(timeout=60)
    return without, with_rules, fed, recorded


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", action="append", required=True, metavar="NAME=COMMAND")
    parser.add_argument("--port", type=int, default=19390, help="of the first server; the others get the next")
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--groups", type=int, default=100)
    parser.add_argument("--intervals", type=int, default=8, help=f"of {INTERVAL} s, that each figure is taken over")
    parser.add_argument("--scratch", help="folder for the servers' data")
    arguments = parser.parse_args()
    print(f"{'':12} {'CPU s a minute':>26}   of one core")
    print(f"{'':12} {'without':>8} {'with':>8} {'rules':>8}   {'the rules':>9}   series, recorded")
    for number, started in enumerate(arguments.start):
        name, command = started.split("=", 1)
        without, with_rules, fed, recorded = measure(command, arguments.port + number, arguments)
        rules = with_rules - without
        print(
            f"{name:12} {without:8.2f} {with_rules:8.2f} {rules:8.2f}   {rules / 60:9.1%}   "
            f"{fed:.0f}, {recorded:.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
