#!/usr/bin/env python3
"""How long do the answers of an Alertmanager take while ten thousand alerts fire at once?

Question: median and longest time, and CPU time, of the endpoints that people and dashboards ask.
Corpus: made here: alerts of one name from as many hosts, with annotations, posted in parts of 1,000.
Method: the server is started with one group for all of them, then with a group for each; a webhook
takes every notification at once. While groups are flushed every ten seconds the endpoints are asked
by turns. With `--slow` a second receiver is told of everything too and takes that many seconds a
request; how many were told at the end, by each, is printed.
Caveats: the webhook and this program run on the same machine, so the longest times are those of a
machine that is busy with the very notifications.

    alerts.py --start 'bellwether serve --no-shipped-rules --alertmanager-config {config} \\
        --data-dir {dir} --listen 127.0.0.1:{port}'

Standard library only.
"""

import argparse
import http.server
import json
import multiprocessing
import os
import pathlib
import shlex
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

PATHS = [
    "/api/v2/alerts",
    "/api/v2/alerts/groups",
    "/api/v2/alerts?" + urllib.parse.urlencode({"filter": 'instance="host-00042"'}),
    "/api/v2/status",
]


def sink(port, delay, told):
    """Takes webhooks, and counts alerts told."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            time.sleep(delay)
            with told.get_lock():
                told.value += len(json.loads(body)["alerts"])
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.serve_forever()


def start_sink(port, delay):
    told = multiprocessing.Value("q", 0)
    process = multiprocessing.Process(target=sink, args=(port, delay, told), daemon=True)
    process.start()
    return process, told


def config(grouping, port, slow):
    receivers = f"- {{name: fast, webhook_configs: [{{url: 'http://127.0.0.1:{port + 1}/'}}]}}\n"
    routes = ""
    if slow:
        receivers += f"- {{name: slow, webhook_configs: [{{url: 'http://127.0.0.1:{port + 2}/'}}]}}\n"
        every = "matchers: ['alertname=~\".+\"']"
        routes = f"  routes:\n  - {{receiver: slow, continue: true, {every}}}\n  - {{receiver: fast, {every}}}\n"
    return (
        f"route:\n  receiver: fast\n  group_by: {grouping}\n  group_wait: 1s\n  group_interval: 10s\n{routes}"
        f"inhibit_rules:\n- {{source_matchers: [severity=critical], target_matchers: [severity=info], equal: [instance]}}\n"
        f"receivers:\n{receivers}"
    )


def alert(number):
    host = f"host-{number:05}"
    labels = {"alertname": "DiskFull", "instance": host, "job": "node", "mountpoint": "/var", "severity": "warning"}
    summary = f"the disk /var of {host} is 93 % full"
    annotations = {"summary": summary, "description": summary + " and will be full tomorrow", "runbook_url": "http://r"}
    return {"labels": labels, "annotations": annotations, "generatorURL": "http://prometheus/graph?g0.expr=up"}


def ask(url, body=None):
    request = urllib.request.Request(url, data=body, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.read()


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def wait_ready(url, process):
    deadline = time.monotonic() + 60
    while True:
        try:
            return ask(url + "/-/ready")
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline or process.poll() is not None:
                raise
            time.sleep(0.1)


def measure(name, grouping, arguments):
    port = arguments.port
    url = f"http://127.0.0.1:{port}"
    sinks = [start_sink(port + 1, 0.0)]
    if arguments.slow:
        sinks.append(start_sink(port + 2, arguments.slow))
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        folder = pathlib.Path(folder)
        (folder / "am.yml").write_text(config(grouping, port, arguments.slow))
        words = {"config": folder / "am.yml", "dir": folder / "data", "port": port}
        with open(folder / "log", "wb") as log:
            command = [word.format(**words) for word in shlex.split(arguments.start)]
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_ready(url, process)
            for begin in range(0, arguments.alerts, 1000):
                part = [alert(number) for number in range(begin, min(begin + 1000, arguments.alerts))]
                ask(url + "/api/v2/alerts", json.dumps(part).encode())
            answers(name, url, process.pid, arguments)
            told = ", ".join(str(count.value) for _, count in sinks)
            print(f"told: {told}; peak {peak_bytes(process.pid) / 2**20:.0f} MiB", flush=True)
            if arguments.log:
                print((folder / "log").read_text()[-arguments.log :])
        finally:
            process.terminate()
            process.wait(timeout=60)
            for running, _ in sinks:
                running.terminate()


def answers(name, url, pid, arguments):
    times = {path: [] for path in PATHS}
    cpu = {path: 0.0 for path in PATHS}
    end = time.monotonic() + arguments.seconds
    while time.monotonic() < end:
        for path in PATHS:
            before, begun = cpu_seconds(pid), time.monotonic()
            ask(url + path)
            times[path].append((time.monotonic() - begun) * 1e3)
            cpu[path] += cpu_seconds(pid) - before
        time.sleep(arguments.pause)
    print(f"{name:28} {'median ms':>9} {'most':>7} {'CPU ms':>7}  asked")
    for path in PATHS:
        asked = times[path]
        each = cpu[path] * 1e3 / len(asked)
        shown = urllib.parse.unquote(path)[:28]
        print(f"{shown:28} {statistics.median(asked):9.1f} {max(asked):7.1f} {each:7.1f}  {len(asked)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", required=True, metavar="COMMAND")
    parser.add_argument("--port", type=int, default=19393, help="of the server; the webhooks get the next two")
    parser.add_argument("--alerts", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=40, help="how long is asked")
    parser.add_argument("--pause", type=float, default=0.1, help="between two turns, in seconds")
    parser.add_argument("--slow", type=float, default=0.0, help="seconds that a second receiver takes")
    parser.add_argument("--only", choices=["one", "each"], help="one group, or a group for each alert")
    parser.add_argument("--log", type=int, default=0, help="how much of the end of the server's log is shown")
    parser.add_argument("--scratch", help="folder for the server's data")
    arguments = parser.parse_args()
    for kind, name, grouping in [("one", "one group", "[alertname]"), ("each", "a group for each", "['...']")]:
        if arguments.only in (None, kind):
            measure(name, grouping, arguments)


if __name__ == "__main__":
    main()
