"""A collector for trace_spec.lua, on a free port of the loopback address: it keeps what is posted to /v1/traces.

Prints its port on one line and serves until somebody posts to /shutdown, or for five minutes at most.

    POST /v1/traces    answered as the next step says; without one, with status 200 and {}
    POST /steps        a JSON list of such answers: {"status":, "headers":, "body":, "delay":}; what was received is forgotten
    GET /received      a JSON list of {"headers":, "body":}, each body parsed
"""
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

steps, received = [], []
lock = threading.Lock()


class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body, headers=None):
        data = body.encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        with lock:
            self.answer(200, json.dumps(received))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/shutdown":
            self.answer(200, "")
            threading.Thread(target=self.server.shutdown).start()
        elif self.path == "/steps":
            with lock:
                steps[:], received[:] = json.loads(body), []
            self.answer(200, "")
        elif self.path == "/v1/traces":
            with lock:
                received.append({"headers": {name.lower(): value for name, value in self.headers.items()}, "body": json.loads(body)})
                step = steps.pop(0) if steps else {}
            time.sleep(step.get("delay", 0))
            try:
                self.answer(step.get("status", 200), step.get("body", "{}"), step.get("headers"))
            except OSError:
                pass  # the client gave up
        else:
            self.answer(404, "no such path")

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
server.daemon_threads = True
print(server.server_address[1], flush=True)
timer = threading.Timer(300, server.shutdown)
timer.daemon = True
timer.start()
server.serve_forever()
