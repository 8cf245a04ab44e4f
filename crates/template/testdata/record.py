#!/usr/bin/env python3
"""Records what Prometheus and Alertmanager make of templates, beside the templates, in rules.tsv
and notifications.tsv.

usage: record.py [FILE.tsv]...

Needs promtool and amtool (Debian: prometheus, prometheus-alertmanager). A line is the template and
what it gives, both as JSON strings; or, in place of the second, `!parse` or `!execute` when it fails.
To add a template, write a line with only its first column and run this.

A template of rules.tsv is an annotation of an alert on this series, whose value is 1234.5678:
  m{instance="web-1:9100",job="node",path="/a b&c<d>",quoted="it's \\"q\\"",word="größe 日本"}
beside up{instance="a"} 1, up{instance="b"} 0, up{instance="c"} 1, with the external label cluster="c1" and
the external address http://prom.test/p.

A template of notifications.tsv sees notification.json; its third column is `html` where it is expanded
as HTML.
"""

import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SERIES = 'm{instance="web-1:9100",job="node",path="/a b&c<d>",quoted="it\'s \\"q\\"",word="größe 日本"}'


def run(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    return done.returncode, done.stdout.decode("utf-8", "surrogateescape")


def go_unquote(text):
    """Undoes strconv.Quote."""
    simple = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}

    def one(match):
        escape = match.group(1)
        if escape[0] in "xuU":
            return chr(int(escape[1:], 16))
        return simple.get(escape, escape)

    return re.sub(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)", one, text, flags=re.S)


def rule(template, _kind):
    with tempfile.TemporaryDirectory() as folder:
        rules = {"groups": [{"name": "g", "rules": [{"alert": "A", "expr": "m > 0", "annotations": {"out": template}}]}]}
        case = {"eval_time": "1m", "alertname": "A", "exp_alerts": []}
        up = [{"series": 'up{instance="%s"}' % i, "values": f"{v} {v}"} for i, v in (("a", 1), ("b", 0), ("c", 1))]
        test = {
            "rule_files": ["r.yml"],
            "tests": [{
                "interval": "1m",
                "external_labels": {"cluster": "c1"},
                "external_url": "http://prom.test/p",
                "input_series": [{"series": SERIES, "values": "1234.5678 1234.5678"}] + up,
                "alert_rule_test": [case],
            }],
        }
        for name, content in (("r.yml", rules), ("t.yml", test)):
            pathlib.Path(folder, name).write_text(json.dumps(content))
        if run("promtool", "check", "rules", f"{folder}/r.yml")[0] != 0:
            return "!parse"
        output = run("promtool", "test", "rules", f"{folder}/t.yml")[1]
        got = re.search(r'Annotations:\{out="(.*?)(?<!\\)((?:\\\\)*)"\}', output, re.S)
        if got is None:
            raise SystemExit(f"no answer for {template!r}:\n{output}")
        text = go_unquote(got.group(1) + got.group(2))
        return "!execute" if text.startswith("<error expanding template:") else json.dumps(text, ensure_ascii=False)


def notification(template, kind):
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "t.tmpl").write_text('{{ define "unused" }}{{ end }}')
        status, output = run(
            "amtool", "template", "render", f"--template.glob={folder}/t.tmpl", f"--template.text={template}",
            f"--template.type={kind or 'text'}", f"--template.data={HERE}/notification.json",
        )
    if status != 0:
        return "!parse" if re.search(r"template: :\d+: (?!executing)|function .* not defined|undefined variable", output) and "executing" not in output else "!execute"
    return json.dumps(output.removesuffix("\n"), ensure_ascii=False)


def main():
    recorders = {"rules.tsv": rule, "notifications.tsv": notification}
    for name in sys.argv[1:] or recorders:
        path = HERE / name
        lines = [line.split("\t") for line in path.read_text().splitlines()]

        def record(line):
            if line[0].startswith("#") or not line[0]:
                return "\t".join(line)
            kind = line[2] if len(line) > 2 else ""
            answer = recorders[name](json.loads(line[0]), kind)
            return "\t".join([line[0], answer] + ([kind] if kind else []))

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            path.write_text("\n".join(pool.map(record, lines)) + "\n")


if __name__ == "__main__":
    main()
