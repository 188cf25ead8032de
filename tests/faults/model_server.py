"""A server of models with faults on request, in the process of the test, which counts what was really asked of it.

What it does with a request is said by a function: `answer(asked)` gives a step, a dictionary with any of

    status, headers, body    the response: 200, none, and good("...") when nothing else is said; a body is a text, bytes, or JSON
    delay                    seconds before anything is sent
    fault                    "reset" or "close" (no reply), "torn" or "cut" (half of the body, then a reset or the end), "trickle"
                             (half of the body, then one byte now and then), "silent" (half of the body, then nothing)
    begun, sent              functions that are told the prompt when the answer is decided, and when all of it was sent
    raw                      bytes that are sent instead of a response
"""

import collections
import json
import socket
import ssl
import struct
import threading
import time

import loopback

REFUSALS = (429, 503, 529)  # no work was done for these

Asked = collections.namedtuple("Asked", "prompt number path headers body")


def good(text, prompt_tokens=7, completion_tokens=2):
    """What a model says: a body."""
    return {"model": "m", "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}}


def echo(asked):
    """Each prompt has an answer of its own."""
    return {"body": good("re: " + asked.prompt)}


def request_size(body):
    """Bytes, without what asks for a stream: that is no part of the prompt."""
    request = json.loads(body)
    for name in ("stream", "stream_options"):
        request.pop(name, None)
    return len(json.dumps(request, separators=(",", ":"), ensure_ascii=False).encode())


class Handler(loopback.Handler):
    def setup(self):
        if self.server.context:
            self.request.settimeout(10)
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = json.loads(body)
        prompt = request["messages"][-1]["content"] if "messages" in request else json.dumps(request["input"])  # of embeddings
        server = self.server
        with server.lock:
            server.asked[prompt] += 1
            server.body_size = request_size(body)
            step = server.answer(Asked(prompt, server.asked[prompt], self.path, self.headers, body))
            server.worked += step.get("status", 200) not in REFUSALS
            server.faults += "fault" in step or step.get("status", 200) != 200
            if "begun" in step:
                step["begun"](prompt)
        time.sleep(step.get("delay", 0))
        if "raw" in step:
            self.wfile.write(step["raw"])
            self.close_connection = True
        elif step.get("fault") in ("reset", "close"):
            self.hang_up(step["fault"] == "reset")
        else:
            self.send(step)
            if "sent" in step:
                with server.lock:
                    step["sent"](prompt)

    def hang_up(self, reset):
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def send(self, step):
        body = step.get("body", good("fine"))
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **step.get("headers", {})}
        self.send_response(step.get("status", 200))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        fault = step.get("fault")
        self.wfile.write(body[:len(body) // 2] if fault else body)
        self.wfile.flush()
        if not fault:
            return
        self.close_connection = True
        if fault == "torn":
            time.sleep(0.1)  # a reset overtakes what is on its way
            self.hang_up(True)
        for i in range(len(body) // 2, len(body)):
            if fault in ("cut", "torn") or self.server.over.wait(0.05):
                break
            if fault == "trickle":
                self.wfile.write(body[i:i + 1])
                self.wfile.flush()


class Server(loopback.Server):
    def __init__(self, answer=echo, context=None, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.answer = answer
        self.context = context  # of TLS
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.connections = 0
        self.asked = collections.Counter()  # by prompt
        self.worked = 0  # requests that were not refused
        self.faults = 0
        self.body_size = 0  # of the last request: request_size
        self.port = self.server_address[1]
        self.url = "%s://127.0.0.1:%d/v1" % ("https" if context else "http", self.port)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def get_request(self):
        got = super().get_request()
        self.connections += 1
        return got

    def requests(self):
        with self.lock:
            return sum(self.asked.values())

    def close(self):
        self.over.set()
        self.shutdown()
        self.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_problem):
        self.close()


def tls_context(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
