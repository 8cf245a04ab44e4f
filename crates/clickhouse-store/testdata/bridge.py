"""ClickHouse's HTTP interface over chdb, the engine as a Python module, for tests.

    bridge.py PORT FOLDER

Speaks what Bellwether uses and behaves like the server where it matters: a statement in the body or
in `query`, rows to insert in the body, `database`, settings as parameters, an error as 4xx or 5xx
with its code in `X-ClickHouse-Exception-Code`, and an error after the first rows marked in the body
by the tag that the head named. Prints `ready` once it answers.
"""

import http.server
import os
import queue
import re
import secrets
import sys
import tempfile
import urllib.parse

from chdb import session

FOLDER = sys.argv[2]
SESSIONS = 8
# Parameters that are not settings, and settings of the HTTP layer, which is this file.
NOT_SETTINGS = {"query", "database", "wait_end_of_query", "http_write_exception_in_output_format",
                "cancel_http_readonly_queries_on_client_close"}
STATUS = {516: 403, 497: 403, 60: 404, 81: 404, 62: 400, 243: 507, 252: 500, 241: 500}
# A password that the server would refuse.
WRONG = "wrong"

pool = queue.Queue()
for _ in range(SESSIONS):
    pool.put(session.Session(FOLDER))


def literal(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(200, b"Ok.\n")

    def do_POST(self):
        parameters = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        body = self.body()
        if self.headers.get("X-ClickHouse-Key") == WRONG:
            return self.refuse("Code: 516. DB::Exception: default: Authentication failed. (AUTHENTICATION_FAILED)")
        settings = {name: value for name, value in parameters.items() if name not in NOT_SETTINGS}
        engine = pool.get()
        try:
            engine.query("USE " + parameters.get("database", "default"))
            for name, value in settings.items():
                engine.query(f"SET {name} = {literal(value)}")
            if "query" in parameters:
                self.insert(engine, parameters["query"], body)
            else:
                self.run(engine, body)
        except BrokenPipeError:
            self.close_connection = True
        except Exception as error:  # every failure of the engine is an answer
            self.refuse(str(error))
        finally:
            for name in settings:
                engine.query(f"SET {name} = DEFAULT")
            pool.put(engine)

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def insert(self, engine, query, rows):
        head = re.fullmatch(r"(INSERT INTO .*) FORMAT (\w+)", query, re.S)
        with tempfile.NamedTemporaryFile(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as file:
            file.write(rows)
            file.flush()
            engine.query(f"{head[1]} FROM INFILE {literal(file.name)} FORMAT {head[2]}")
        self.answer(200, b"")

    def run(self, engine, query):
        text = query.decode()
        rows = re.fullmatch(r"(.*) FORMAT (\w+)", text, re.S)
        if not rows:
            engine.query(text)
            return self.answer(200, b"")
        if not rows[1].startswith("SELECT"):
            return self.answer(200, engine.query(rows[1], rows[2]).bytes())
        chunks = iter(engine.send_query(rows[1], rows[2]))
        first = next(chunks, None)
        tag = secrets.token_hex(8)
        self.send_response(200)
        self.send_header("X-ClickHouse-Exception-Tag", tag)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while first is not None:
                self.chunk(first.bytes())
                first = next(chunks, None)
        except BrokenPipeError:
            raise
        except Exception as error:  # too late for a status
            words = str(error)
            words = words[max(words.find("Code: "), 0):].encode()
            mark = f"\r\n__exception__\r\n{tag}\r\n".encode()
            self.chunk(mark + words + b"\n" + f"{len(words)} {tag}\r\n__exception__\r\n".encode())
        self.wfile.write(b"0\r\n\r\n")

    def chunk(self, data):
        if data:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def refuse(self, words):
        words = words[max(words.find("Code: "), 0):]
        found = re.search(r"Code: (\d+)", words)
        code = int(found[1]) if found else 1001
        self.answer(STATUS.get(code, 500), words.encode(), {"X-ClickHouse-Exception-Code": str(code)})

    def answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
print("ready", server.server_address[1], flush=True)
server.serve_forever()
