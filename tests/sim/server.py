"""An HTTP server on the loopback address that speaks OpenAI's chat completions for a simulated model.

A model is an object with `name` and `reply(body, sample)`, which gives a text for the body of a request; `sample` is None where the
request has to be answered the same way each time, or else an integer that makes answers to the same request differ. What is counted
stands at GET /count. One thread; HTTP/1.1 with keep-alive, one request at a time on a connection.
"""
import asyncio
import hashlib
import json
import os
import re
import sys

BODY_MAX = 8 << 20
CONNECTIONS_MAX = 2048
REMEMBERED_MAX = 20000
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
CLOSE = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
STATUS = {200: "OK", 204: "No Content", 400: "Bad Request", 404: "Not Found", 413: "Payload Too Large", 503: "Service Unavailable"}


class Refused(Exception):
    """A request that can't be answered; the text says why."""


def problem(text):
    return {"error": {"message": text, "type": "invalid_request_error"}}


def tokens_of(text):
    return len(text) // 4 + 1


def number_of(body, name):
    value = body.get(name)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else 0


class Service:
    """The model, what it was asked, and what it remembers of that."""

    def __init__(self, model, embed, latency):
        self.model, self.embed, self.latency = model, embed, latency
        self.counts = {"requests": 0, "completions": 0, "proposals": 0, "embeddings": 0, "abandoned": 0, "prompt_tokens": 0,
                       "completion_tokens": 0, "in_flight_most": 0}
        self.in_flight = 0
        self.samples = {}  # by the digest of a request without a seed: how many replies to it have arrived, or are on their way
        self.remembered = {}

    def begin(self, path, body):
        """The status and the reply, and the samples drawn, which are given back when the reply reaches nobody."""
        if path.endswith("/chat/completions"):
            return self.complete(body)
        if path.endswith("/embeddings"):
            return 200, self.embeddings(body), None
        raise Refused("there is no " + path)

    def complete(self, body):
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
            raise Refused("'messages' must be a list of objects")
        number = max(1, min(int(number_of(body, "n") or 1), 128))
        digest = hashlib.blake2b(json.dumps([messages, body.get("temperature"), body.get("seed")]).encode(), digest_size=16).digest()
        self.counts["requests"] += 1
        self.counts["completions"] += number
        texts, drawn = self.texts_of(body, digest, number)
        prompt = sum(tokens_of(str(one.get("content"))) for one in messages)
        written = sum(map(tokens_of, texts))
        self.counts["prompt_tokens"] += prompt
        self.counts["completion_tokens"] += written
        choices = [{"index": i, "finish_reason": "stop", "message": {"role": "assistant", "content": text}} for i, text in enumerate(texts)]
        usage = {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}
        made = {"id": "sim-" + digest.hex()[:12], "object": "chat.completion", "created": 0, "model": self.model.name, "choices": choices}
        return 200, dict(made, usage=usage), drawn

    def texts_of(self, body, digest, number):
        """At temperature 0 the text alone decides, with a seed the seed too, else which sample of this text it is."""
        if number_of(body, "temperature") > 0:
            if isinstance(body.get("seed"), int):
                return [self.answer(body, (body["seed"] << 7) + i) for i in range(number)], None
            first = self.samples.get(digest, 0)
            self.samples[digest] = first + number
            return [self.answer(body, first + i) for i in range(number)], (digest, number)
        text = self.remembered.get(digest)
        if text is None:
            if len(self.remembered) >= REMEMBERED_MAX:
                self.remembered.clear()
            text = self.remembered[digest] = self.answer(body, None)
        return [text] * number, None

    def answer(self, body, sample):
        text, proposed = self.model.reply(body, sample)
        self.counts["proposals"] += proposed
        return text

    def give_back(self, drawn):
        self.counts["abandoned"] += 1
        if drawn:
            digest, number = drawn
            self.samples[digest] -= number

    def embeddings(self, body):
        texts = body.get("input")
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
            raise Refused("'input' must be a text or a list of texts")
        self.counts["embeddings"] += 1
        data = [{"object": "embedding", "index": i, "embedding": self.embed(text)} for i, text in enumerate(texts)]
        used = sum(map(tokens_of, texts))
        return {"object": "list", "model": self.model.name, "data": data, "usage": {"prompt_tokens": used, "total_tokens": used}}


class Connection(asyncio.Protocol):
    """One client: reads a request, answers it after the latency, reads the next."""

    open_ones = 0

    def __init__(self, service, stop):
        self.service, self.stop = service, stop
        self.buffer, self.waiting, self.drawn, self.transport = bytearray(), None, None, None

    def connection_made(self, transport):
        self.transport = transport
        Connection.open_ones += 1
        if Connection.open_ones > CONNECTIONS_MAX:
            transport.abort()

    def connection_lost(self, exc):
        Connection.open_ones -= 1
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None
            self.service.in_flight -= 1
            self.service.give_back(self.drawn)

    def data_received(self, data):
        self.buffer += data
        if self.waiting is None:
            self.take()

    def take(self):
        """Answers the request at the front of the buffer, if all of it is there."""
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self.buffer) > 1 << 16:
                self.transport.abort()
            return
        head = bytes(self.buffer[:end + 2])
        found = LENGTH.search(head)
        length = int(found.group(1)) if found else 0
        if length > BODY_MAX:
            self.write(413, problem("too long"), True)
            return
        if len(self.buffer) < end + 4 + length:
            return
        body = bytes(self.buffer[end + 4:end + 4 + length])
        del self.buffer[:end + 4 + length]
        parts = head.split(b"\r\n", 1)[0].split()
        if len(parts) != 3:
            self.transport.abort()
            return
        self.answer(parts[0].decode("latin-1"), parts[1].decode("latin-1"), body, CLOSE.search(head) is not None)

    def answer(self, method, path, body, close):
        service = self.service
        if method == "GET":
            self.write(*((200, service.counts) if path == "/count" else (404, problem("there is no " + path))), close)
            return
        if path == "/latency":
            self.change_latency(body, close)
            return
        if path == "/shutdown":
            self.write(204, None, True)
            self.stop()
            return
        try:
            asked = json.loads(body)
            if not isinstance(asked, dict):
                raise Refused("the body must be an object")
            status, reply, self.drawn = service.begin(path, asked)
        except (Refused, ValueError) as refused:
            self.write(400, problem(str(refused)), close)
            return
        service.in_flight += 1
        service.counts["in_flight_most"] = max(service.counts["in_flight_most"], service.in_flight)
        if service.latency > 0:
            self.waiting = asyncio.get_running_loop().call_later(service.latency, self.finish, status, reply, close)
        else:
            self.finish(status, reply, close)

    def change_latency(self, body, close):
        try:
            self.service.latency = min(60.0, max(0.0, float(body)))
            self.write(204, None, close)
        except ValueError:
            self.write(400, problem("the body must be a number of seconds"), close)

    def finish(self, status, reply, close):
        self.waiting, self.drawn = None, None
        self.service.in_flight -= 1
        self.write(status, reply, close)
        if self.buffer and not close:
            self.take()

    def write(self, status, reply, close):
        data = b"" if reply is None else json.dumps(reply).encode()
        head = (f"HTTP/1.1 {status} {STATUS[status]}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
                f"{'Connection: close' if close else 'Connection: keep-alive'}\r\n\r\n")
        self.transport.write(head.encode("latin-1") + data)
        if close:
            self.transport.close()


async def serve(model, embed, port, latency, seconds):
    """Prints the port, and serves until POST /shutdown, until whoever started it is gone, or for so many seconds."""
    loop, service, stopped = asyncio.get_running_loop(), Service(model, embed, latency), asyncio.Event()
    server = await loop.create_server(lambda: Connection(service, stopped.set), "127.0.0.1", port, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    parent, left = os.getppid(), seconds
    while left > 0 and not stopped.is_set() and os.getppid() == parent:
        try:
            await asyncio.wait_for(stopped.wait(), min(1.0, left))
        except asyncio.TimeoutError:
            left -= 1
    server.close()


def run(model, embed, options):
    try:
        asyncio.run(serve(model, embed, options.port, options.latency, options.seconds))
    except KeyboardInterrupt:
        sys.exit(130)
