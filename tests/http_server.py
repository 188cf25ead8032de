#!/usr/bin/env python3
"""A tiny HTTP server on the loopback for tests, with faults on request.

    http_server.py [--seconds N] [--no-input]

It listens on 127.0.0.1 at a free port, prints that port as one line, and ends
when its standard input is closed (unless --no-input), at a request for /quit,
or after N seconds (60).

The path says what happens:

    /echo                  what was received: method, path, headers, body, as JSON
    /status/CODE           that status, with the header Retry-After: 1 for 429 and 503
    /delay/SECONDS         waits, then answers "late"
    /bytes/COUNT           that many bytes of "x"
    /trickle/COUNT/SECONDS that many bytes, one every so many seconds
    /reset                 resets the connection before any reply
    /close                 closes it without a reply
    /cut                   promises 100 bytes and closes after 10
    /garbage               something that is no HTTP
    /gzip                  a compressed "hello"
    /bomb/COUNT            a compressed body that grows to that many bytes
    /redirect              to /echo, by 302
    /headers/COUNT         that many response headers of 100 bytes
    /count/NAME            how many requests this path has had, this one included
    /peak                  the largest number of requests that were under way together
    /flaky/NAME/FAILURES   503 so many times, then 200
    /v1/chat/completions   what an OpenAI-compatible server says: the last message, repeated.
                           The model's name may carry faults: "delay:0.1", "status:429", "reset", "text:..."
    /quit                  ends the server
    /script                POST a JSON list of steps ({"status":, "headers":, "body":, "delay":, "fault":});
                           later requests to /scripted take them in order; "raw" is a body in hexadecimal, faults are
                           "reset", "close", "cut" (half of what was promised) and "trickle" (some bytes, then silence)
    /seen                  how many requests /scripted has had
"""

import gzip
import json
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class State:
    def __init__(self):
        self.lock = threading.Lock()
        self.counts = {}
        self.under_way = 0
        self.peak = 0
        self.steps = []
        self.over = threading.Event()

    def count(self, name):
        with self.lock:
            self.counts[name] = self.counts.get(name, 0) + 1
            return self.counts[name]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state = State()

    def log_message(self, *_arguments):
        pass

    def do_GET(self):
        state = self.state
        with state.lock:
            state.under_way += 1
            state.peak = max(state.peak, state.under_way)
        try:
            length = int(self.headers.get("Content-Length") or 0)
            self.body = self.rfile.read(length)
            self.route()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with state.lock:
                state.under_way -= 1

    do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_GET

    def route(self):
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[:3] == ["v1", "chat", "completions"]:
            self.chat()
            return
        action = getattr(self, "path_" + parts[0], None)
        if action is None:
            self.reply(404, b"no such path")
        else:
            action(*parts[1:])

    def reply(self, status=200, body=b"", headers=(), kind="text/plain"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reply_json(self, value, status=200, headers=()):
        self.reply(status, json.dumps(value).encode(), headers, "application/json")

    def hang_up(self, reset):
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.wfile.flush()
        if not reset:
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()

    def path_echo(self):
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.reply_json({"method": self.command, "path": self.path, "headers": headers,
                         "body": self.body.decode("latin-1"), "port": self.client_address[1]})

    def path_status(self, code):
        retry = [("Retry-After", "1")] if code in ("429", "503") else []
        self.reply(int(code), b"status " + code.encode(), retry)

    def path_delay(self, seconds):
        time.sleep(float(seconds))
        self.reply(200, b"late")

    def path_bytes(self, count):
        self.reply(200, b"x" * int(count))

    def path_trickle(self, count, seconds):
        self.send_response(200)
        self.send_header("Content-Length", count)
        self.end_headers()
        for _ in range(int(count)):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(float(seconds))

    def path_reset(self):
        self.hang_up(True)

    def path_close(self):
        self.hang_up(False)

    def path_cut(self):
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"x" * 10)
        self.hang_up(False)

    def path_garbage(self):
        self.wfile.write(b"\x00\x01\x02 this is no HTTP\r\n\r\n")
        self.close_connection = True

    def path_gzip(self):
        self.reply(200, gzip.compress(b"hello"), [("Content-Encoding", "gzip")])

    def path_bomb(self, count):
        self.reply(200, gzip.compress(b"\0" * int(count)), [("Content-Encoding", "gzip")])

    def path_redirect(self):
        self.reply(302, b"", [("Location", "/echo")])

    def path_headers(self, count):
        self.reply(200, b"ok", [("X-Filler-%d" % i, "y" * 100) for i in range(int(count))])

    def path_count(self, name):
        self.reply(200, str(self.state.count(name)).encode())

    def path_peak(self):
        self.reply(200, str(self.state.peak).encode())

    def path_flaky(self, name, failures):
        if self.state.count("flaky " + name) <= int(failures):
            self.reply(503, b"not yet")
        else:
            self.reply(200, b"at last")

    def path_quit(self):
        self.reply(200, b"bye")
        self.state.over.set()

    def path_script(self):
        with self.state.lock:
            self.state.steps = json.loads(self.body)
        self.reply(200, b"ok")

    def path_seen(self):
        self.reply(200, str(self.state.counts.get("scripted", 0)).encode())

    def path_scripted(self, *_rest):
        self.state.count("scripted")
        with self.state.lock:
            step = self.state.steps.pop(0) if self.state.steps else {"status": 500, "body": "the script is over"}
        time.sleep(step.get("delay", 0))
        if step.get("fault") in ("reset", "close"):
            self.hang_up(step["fault"] == "reset")
            return
        body = step.get("body", "")
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
        if "raw" in step:
            body = bytes.fromhex(step["raw"])
        if step.get("fault") in ("cut", "trickle"):
            self.send_response(200)
            self.send_header("Content-Length", str(2 * len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
            if step["fault"] == "trickle":
                time.sleep(5)
            self.hang_up(False)
            return
        self.reply(step.get("status", 200), body, list(step.get("headers", {}).items()))

    def chat(self):
        request = json.loads(self.body)
        model = request.get("model", "")
        kind, _, argument = model.partition(":")
        text = request["messages"][-1]["content"]
        if kind == "delay":
            time.sleep(float(argument))
        elif kind == "status":
            self.reply_json({"error": {"message": "asked for " + argument, "type": "test"}}, int(argument),
                            [("Retry-After", "0")])
            return
        elif kind in ("reset", "close"):
            self.hang_up(kind == "reset")
            return
        elif kind == "text":
            text = argument
        self.reply_json({
            "id": "test-%d" % self.state.count("chat"), "object": "chat.completion", "created": 0, "model": model,
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}})


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        """Clients that go away are what these tests are about: say nothing."""


def main():
    arguments = sys.argv[1:]
    watch_input = "--no-input" not in arguments
    seconds = float(arguments[arguments.index("--seconds") + 1]) if "--seconds" in arguments else 60.0
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    over = Handler.state.over

    def wait_for_end_of_input():
        while sys.stdin.buffer.read1(65536):
            pass
        over.set()

    if watch_input:
        threading.Thread(target=wait_for_end_of_input, daemon=True).start()
    over.wait(seconds)
    time.sleep(0.05)  # for the reply to /quit


if __name__ == "__main__":
    main()
