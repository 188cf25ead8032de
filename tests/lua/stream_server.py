"""A server for stream_spec.lua: it answers in each vendor's language, at once or in pieces, on a free port of the loopback address.

Prints its port on one line and serves until somebody posts to /shutdown, or for five minutes at most. What happens is said by the model's
name: "SCRIPT" or "SCRIPT@LABEL", where the label only keeps requests apart. GET /seen/MODEL tells as JSON how often the model was asked,
how many of its answers were given up by the client, and how many bytes were sent.

    answer          a text with thoughts, tokens and (openai) log-probabilities
    tools           two tool calls
    bytes           "answer", every byte in a write of its own
    half, break     the first half of the events, and then a proper end, or a broken connection
    unclean         all the events, and then a broken connection
    error           two deltas, and then an error event
    busy-N          the first N requests get an error event at once, the others "answer"
    refuse-N        the first N requests get 503, the others "answer"
    whole           "answer" at once, whatever was asked for
    silent          the first half, then silence for ten seconds
    late            silence for ten seconds
    endless         deltas without end, ten milliseconds apart
    flood           256 deltas, as fast as they are taken
    ocean           64 MiB of deltas
    slow            "answer", 20 milliseconds between events
    key             the key of the request, in pieces
"""
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECES = ["Hel", "lo, w\u00f6", "rld", "\U0001f600", "\n\n", "data: x"]
THOUGHTS = ["Let me ", "think."]
CALLS = [("weather", {"city": "Oslo"}), ("time", {"zone": "CET", "precise": True})]
LOGPROBS = [{"token": "Hel", "logprob": -0.5}, {"token": "lo", "logprob": -0.25}]

lock = threading.Lock()
seen = {}


def note(model, name, amount=1):
    with lock:
        entry = seen.setdefault(model, {"asked": 0, "given_up": 0, "sent": 0})
        entry[name] += amount
        return entry[name]


def cut(text):
    return [text[i:i + 5] for i in range(0, len(text), 5)]


# Each vendor: the answer at once, and the same as events (name or None, object or text).

def openai_whole(pieces, thoughts, calls):
    message = {"role": "assistant", "content": "".join(pieces) if pieces else None}
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = [{"id": "call_%d" % i, "type": "function", "function": {"name": n, "arguments": json.dumps(a)}}
                                 for i, (n, a) in enumerate(calls)]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    if not calls:
        choice["logprobs"] = {"content": LOGPROBS}
    return {"model": "served", "choices": [choice],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 4},
                      "completion_tokens_details": {"reasoning_tokens": 2}}}


def openai_events(pieces, thoughts, calls, usage=True):
    def chunk(delta, reason=None, **more):
        choice = {"index": 0, "delta": delta, "finish_reason": reason, **more}
        return None, {"model": "served", "choices": [choice], "usage": None}
    yield chunk({"role": "assistant", "content": ""})
    for thought in thoughts:
        yield chunk({"reasoning_content": thought})
    for i, piece in enumerate(pieces):
        yield chunk({"content": piece}, logprobs={"content": [LOGPROBS[i]]} if i < len(LOGPROBS) else None)
    for i, (name, arguments) in enumerate(calls):
        yield chunk({"tool_calls": [{"index": i, "id": "call_%d" % i, "type": "function", "function": {"name": name, "arguments": ""}}]})
        for piece in cut(json.dumps(arguments)):
            yield chunk({"tool_calls": [{"index": i, "function": {"arguments": piece}}]})
    yield chunk({}, "tool_calls" if calls else "stop")
    if usage:
        yield None, {"model": "served", "choices": [], "usage": openai_whole([], [], [])["usage"]}
    yield None, "[DONE]"


def responses_whole(pieces, thoughts, calls):
    output = []
    if thoughts:
        output.append({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "".join(thoughts)}]})
    if pieces:
        output.append({"type": "message", "role": "assistant", "content": [
            {"type": "output_text", "text": "".join(pieces), "annotations": [], "logprobs": LOGPROBS}]})
    for i, (name, arguments) in enumerate(calls):
        output.append({"type": "function_call", "call_id": "call_%d" % i, "name": name, "arguments": json.dumps(arguments)})
    return {"status": "completed", "model": "served", "error": None, "output": output,
            "usage": {"input_tokens": 11, "output_tokens": 7, "input_tokens_details": {"cached_tokens": 4},
                      "output_tokens_details": {"reasoning_tokens": 2}}}


def responses_events(pieces, thoughts, calls, usage=True):
    def event(kind, **more):
        return kind, {"type": kind, **more}
    whole = responses_whole(pieces, thoughts, calls)
    yield event("response.created", response={"status": "in_progress", "output": []})
    for thought in thoughts:
        yield event("response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta=thought)
    for piece in pieces:
        yield event("response.output_text.delta", output_index=1, content_index=0, delta=piece)
    for i, (name, arguments) in enumerate(calls):
        place = len(whole["output"]) - len(calls) + i
        item = {"type": "function_call", "call_id": "call_%d" % i, "name": name, "arguments": ""}
        yield event("response.output_item.added", output_index=place, item=item)
        for piece in cut(json.dumps(arguments)):
            yield event("response.function_call_arguments.delta", output_index=place, delta=piece)
    yield event("response.completed", response=whole)


def anthropic_whole(pieces, thoughts, calls):
    content = []
    if thoughts:
        content.append({"type": "thinking", "thinking": "".join(thoughts), "signature": "c2ln"})
    if pieces:
        content.append({"type": "text", "text": "".join(pieces)})
    for i, (name, arguments) in enumerate(calls):
        content.append({"type": "tool_use", "id": "call_%d" % i, "name": name, "input": arguments})
    return {"type": "message", "role": "assistant", "model": "served", "content": content,
            "stop_reason": "tool_use" if calls else "end_turn",
            "usage": {"input_tokens": 7, "cache_read_input_tokens": 4, "output_tokens": 7}}


def anthropic_events(pieces, thoughts, calls, usage=True):
    def event(kind, **more):
        return kind, {"type": kind, **more}
    whole = anthropic_whole(pieces, thoughts, calls)
    beginning = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    yield event("message_start", message=beginning)
    yield event("ping")
    for index, block in enumerate(whole["content"]):
        empty = {"thinking": {"thinking": "", "signature": ""}, "text": {"text": ""}, "tool_use": {"input": {}}}[block["type"]]
        yield event("content_block_start", index=index, content_block={**block, **empty})
        if block["type"] == "thinking":
            for thought in thoughts:
                yield event("content_block_delta", index=index, delta={"type": "thinking_delta", "thinking": thought})
            yield event("content_block_delta", index=index, delta={"type": "signature_delta", "signature": "c2ln"})
        elif block["type"] == "text":
            for piece in pieces:
                yield event("content_block_delta", index=index, delta={"type": "text_delta", "text": piece})
        else:
            for piece in cut(json.dumps(block["input"])):
                yield event("content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": piece})
        yield event("content_block_stop", index=index)
    yield event("message_delta", delta={"stop_reason": whole["stop_reason"]}, usage={"output_tokens": 7})
    yield event("message_stop")


def gemini_whole(pieces, thoughts, calls):
    parts = []
    if thoughts:
        parts.append({"text": "".join(thoughts), "thought": True})
    if pieces:
        parts.append({"text": "".join(pieces)})
    parts += [{"functionCall": {"id": "call_%d" % i, "name": n, "args": a}} for i, (n, a) in enumerate(calls)]
    return {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}], "modelVersion": "served",
            "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 5, "thoughtsTokenCount": 2, "cachedContentTokenCount": 4}}


def gemini_events(pieces, thoughts, calls, usage=True):
    parts = [{"text": thought, "thought": True} for thought in thoughts] + [{"text": piece} for piece in pieces]
    parts += [{"functionCall": {"id": "call_%d" % i, "name": n, "args": a}} for i, (n, a) in enumerate(calls)]
    for part in parts:
        yield None, {"candidates": [{"content": {"role": "model", "parts": [part]}}], "modelVersion": "served",
                     "usageMetadata": {"promptTokenCount": 11}}
    yield None, {"candidates": [{"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP"}],
                 "usageMetadata": gemini_whole([], [], [])["usageMetadata"]}


def ollama_whole(pieces, thoughts, calls):
    message = {"role": "assistant", "content": "".join(pieces)}
    if thoughts:
        message["thinking"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = [{"id": "call_%d" % i, "function": {"name": n, "arguments": a}} for i, (n, a) in enumerate(calls)]
    return {"model": "served", "message": message, "done": True, "done_reason": "stop", "prompt_eval_count": 11, "eval_count": 7}


def ollama_events(pieces, thoughts, calls, usage=True):
    for thought in thoughts:
        yield None, {"model": "served", "message": {"role": "assistant", "content": "", "thinking": thought}, "done": False}
    for piece in pieces:
        yield None, {"model": "served", "message": {"role": "assistant", "content": piece}, "done": False}
    for call in ollama_whole([], [], calls)["message"].get("tool_calls", []):
        yield None, {"model": "served", "message": {"role": "assistant", "content": "", "tool_calls": [call]}, "done": False}
    yield None, {**ollama_whole([], [], []), "message": {"role": "assistant", "content": ""}}


def plain_whole(pieces, thoughts, calls):
    return {"answer": "".join(pieces), "tokens": [11, 7]}


def plain_events(pieces, thoughts, calls, usage=True):
    for piece in pieces:
        yield None, {"piece": piece}
    yield None, {"tokens": [11, 7]}


VENDORS = {
    "openai": (openai_whole, openai_events, {"error": {"message": "Overloaded", "type": "server_error", "code": None}}),
    "responses": (responses_whole, responses_events, {"type": "error", "code": "server_error", "message": "Overloaded"}),
    "anthropic": (anthropic_whole, anthropic_events, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    "gemini": (gemini_whole, gemini_events, {"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}}),
    "ollama": (ollama_whole, ollama_events, {"error": "Overloaded"}),
    "plain": (plain_whole, plain_events, {"error": "Overloaded"}),
}


def vendor_of(path):
    if "Content" in path:
        return "gemini"
    return {"/v1/responses": "responses", "/v1/messages": "anthropic", "/api/chat": "ollama", "/ask": "plain"}.get(path, "openai")


def wants_stream(vendor, path, body):
    if vendor == "gemini":
        return path.endswith(":streamGenerateContent?alt=sse")
    return body.get("stream") is True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def send_whole(self, status, value):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def begin(self):
        kind = "application/x-ndjson" if self.vendor == "ollama" else "text/event-stream"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def write(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        note(self.model, "sent", len(data))

    def event(self, event):
        name, value = event
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if self.vendor in ("ollama", "plain"):
            return text.encode() + b"\n"
        lines = ["event: " + name] if name else []
        return ("\n".join(lines + ["data: " + text]) + "\n\n").encode()

    def end(self):
        self.wfile.write(b"0\r\n\r\n")

    def drop(self):
        self.close_connection = True

    def do_GET(self):
        model = self.path.split("/", 2)[2]
        with lock:
            entry = dict(seen.get(model, {"asked": 0, "given_up": 0, "sent": 0}))
        self.send_whole(200, entry)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/shutdown":
            self.send_response(204)
            self.send_header("Content-Length", "0")
            self.end_headers()
            threading.Thread(target=self.server.shutdown).start()
            return
        self.body = json.loads(body)
        self.vendor = vendor_of(self.path)
        self.model = self.body.get("model") or self.path.rsplit("/", 1)[-1].split(":")[0]
        self.asked = note(self.model, "asked")
        script, _, number = self.model.split("@")[0].partition("-")
        self.number = int(number or 0)
        try:
            getattr(self, "play_" + script)()
        except OSError:
            note(self.model, "given_up")
            self.close_connection = True

    def answer(self, pieces, thoughts, calls, pause=0):
        whole, events, _ = VENDORS[self.vendor]
        if not wants_stream(self.vendor, self.path, self.body):
            return self.send_whole(200, whole(pieces, thoughts, calls))
        usage = self.body.get("stream_options") == {"include_usage": True}
        self.begin()
        for event in events(pieces, thoughts, calls, usage):
            self.write(self.event(event))
            time.sleep(pause)
        self.end()

    def events(self):
        return [self.event(event) for event in VENDORS[self.vendor][1](PIECES, THOUGHTS, [])]

    def play_answer(self):
        self.answer(PIECES, THOUGHTS, [])

    def play_slow(self):
        self.answer(PIECES, THOUGHTS, [], 0.02)

    def play_tools(self):
        self.answer([], [], CALLS)

    def play_bytes(self):
        self.begin()
        data = b"".join(self.events())
        for i in range(len(data)):
            self.write(data[i:i + 1])
        self.end()

    def play_half(self):
        self.begin()
        events = self.events()
        self.write(b"".join(events[:len(events) // 2]))
        self.end()

    def play_break(self):
        self.begin()
        events = self.events()
        self.write(b"".join(events[:len(events) // 2]))
        self.drop()

    def play_unclean(self):
        self.begin()
        self.write(b"".join(self.events()))
        self.drop()

    def play_error(self):
        self.begin()
        events = self.events()
        self.write(b"".join(events[:5]) + self.event((None, VENDORS[self.vendor][2])))
        self.end()

    def play_busy(self):
        if self.asked > self.number:
            return self.play_answer()
        self.begin()
        self.write(self.event((None, VENDORS[self.vendor][2])))
        self.end()

    def play_refuse(self):
        if self.asked > self.number:
            return self.play_answer()
        self.send_whole(503, {"error": {"message": "Overloaded"}})

    def play_whole(self):
        self.send_whole(200, VENDORS[self.vendor][0](PIECES, THOUGHTS, []))

    def play_silent(self):
        self.begin()
        events = self.events()
        self.write(b"".join(events[:len(events) // 2]))
        time.sleep(10)
        self.write(b"".join(events[len(events) // 2:]))

    def play_late(self):
        time.sleep(10)
        self.play_answer()

    def play_endless(self):
        self.begin()
        chunk = openai_events(["x"], [], [])
        event = self.event([one for one in chunk][1])
        while True:
            self.write(event)
            time.sleep(0.01)

    def play_flood(self):
        self.begin()
        size, count = (1024, 1024) if self.model.startswith("ocean") else (16, 4)
        events = [self.event(one) for one in openai_events(["x" * size], [], [])]
        self.write(events[0])
        for _ in range(count):
            self.write(events[1] * 64)
        self.write(b"".join(events[2:]))
        self.end()

    play_ocean = play_flood

    def play_key(self):
        key = self.headers.get("Authorization")
        pieces = cut("your header is %s, I see" % key)
        self.answer(pieces, cut("the key is %s." % key), [])


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass


server = Server(("127.0.0.1", 0), Handler)
stop = threading.Timer(300, server.shutdown)
stop.daemon = True
stop.start()
print(server.server_address[1])
sys.stdout.flush()
server.serve_forever()
