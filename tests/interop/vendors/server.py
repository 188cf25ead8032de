"""A server on the loopback address that keeps what it is sent and answers as it was told.

The address of each call begins with /NUMBER/SIDE: the same call comes once from each side, and gets the same answer.
"""

import collections
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Request = collections.namedtuple("Request", "method path headers body")


class Answer:
    """A status, headers, and bytes: JSON, or the texts of a stream."""

    def __init__(self, content, status=200, headers=None, lines=False):
        self.status = status
        self.headers = {"Content-Type": "application/json", **(headers or {})}
        if isinstance(content, list):
            self.headers["Content-Type"] = "application/x-ndjson" if lines else "text/event-stream"
            content = "".join(content)
        self.body = (content if isinstance(content, str) else json.dumps(content)).encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        _, number, side, rest = self.path.split("/", 3)
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.take(int(number), side, Request(self.command, "/" + rest, headers, body))
        try:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
        except OSError:
            pass  # the client gave up

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = []  # of each call: what it is answered, the last of them for ever
        self.seen = collections.defaultdict(list)  # (number, side) -> requests
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def add(self, answers):
        """A call to come: its number."""
        self.answers.append(answers)
        return len(self.answers) - 1

    def address(self, number, side):
        return "http://127.0.0.1:%d/%d/%s" % (self.server_address[1], number, side)

    def take(self, number, side, request):
        with self.lock:
            seen = self.seen[number, side]
            seen.append(request)
            answers = self.answers[number]
            answer = answers[min(len(seen), len(answers)) - 1]
        return answer(json.loads(request.body)) if callable(answer) else answer
