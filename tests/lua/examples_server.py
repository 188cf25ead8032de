"""A server for examples_spec.lua that speaks OpenAI's language, on a free port of the loopback address.

Prints its port on one line and serves until somebody posts to /shutdown, or for two minutes at most. The command it is started with
answers: it reads a request a line, and writes its text and usage a line, both in JSON. Requests with tools are answered by the script below.
"""
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

lock = threading.Lock()
answerer = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

STEPS = [
    ("search", {"query": "Suez Canal"}),
    ("search", {"query": "Panama Canal"}),
    ("calculate", {"expression": "1914 - 1869"}),
]


def tool_call(body):
    """The next step of examples/react.lua: what it has found so far says which."""
    found = [message["content"] for message in body["messages"] if message["role"] == "tool"]
    name, arguments = STEPS[len(found)] if len(found) < len(STEPS) else ("finish", {"years": int(found[-1])})
    assert name in [tool["function"]["name"] for tool in body["tools"]]
    return {"id": "call_%d" % len(found), "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def completion(body):
    if body.get("tools"):
        message, reason, used = {"role": "assistant", "content": None, "tool_calls": [tool_call(body)]}, "tool_calls", (11, 3)
    else:
        with lock:
            answerer.stdin.write(json.dumps(body) + "\n")
            answerer.stdin.flush()
            answer = json.loads(answerer.stdout.readline())
        message, reason = {"role": "assistant", "content": answer["text"]}, "stop"
        used = answer["prompt_tokens"], answer["completion_tokens"]
    return {
        "id": "x", "object": "chat.completion", "model": body["model"],
        "choices": [{"index": 0, "finish_reason": reason, "message": message}],
        "usage": {"prompt_tokens": used[0], "completion_tokens": used[1], "total_tokens": sum(used)},
    }


def event(delta, reason=None):
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: " + json.dumps({"id": "x", "object": "chat.completion.chunk", "choices": [choice]}).encode() + b"\n\n"


def streamed(reply):
    """The same reply in pieces."""
    text = reply["choices"][0]["message"]["content"]
    pieces = [event({"content": text[i:i + 7]}) for i in range(0, len(text), 7)]
    usage = {"id": "x", "object": "chat.completion.chunk", "choices": [], "usage": reply["usage"]}
    return b"".join(pieces) + event({}, "stop") + b"data: " + json.dumps(usage).encode() + b"\n\ndata: [DONE]\n\n"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        if self.path == "/shutdown":
            self.send_response(204)
            self.send_header("Content-Length", "0")
            self.end_headers()
            threading.Thread(target=self.server.shutdown).start()
            return
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        right = self.path == "/v1/chat/completions" and self.headers["Authorization"] == "Bearer a-key"
        reply = completion(body) if right else {"error": {"message": "wrong path or key"}}
        data = streamed(reply) if body.get("stream") and right else json.dumps(reply).encode()
        self.send_response(200 if right else 401)
        self.send_header("Content-Type", "text/event-stream" if body.get("stream") else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


server = Server(("127.0.0.1", 0), Handler)
stop = threading.Timer(120, server.shutdown)
stop.daemon = True
stop.start()
print(server.server_address[1])
sys.stdout.flush()
server.serve_forever()
answerer.stdin.close()
answerer.wait()
