"""A server for openai_spec.lua that speaks OpenAI's language, on a free port of the loopback address.

Prints its port on one line and serves until somebody posts to /shutdown, or for two minutes at most. What it answers is chosen by the
request's model.
"""
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

lock = threading.Lock()
in_flight = most_in_flight = served = 0


def completion(content, finish_reason="stop", **message):
    return {
        "id": "x", "object": "chat.completion", "model": "served-model",
        "choices": [{"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": content, **message}}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14},
    }


def answer(model, key, body, path, number):
    """The status and the body (an object, or bytes) for a model's name."""
    if model == "echo":
        return 200, completion(json.dumps({"authorization": key, "path": path, "body": body}))
    if model == "served":
        return 200, completion(str(number))
    if model == "most":
        return 200, completion(str(most_in_flight))
    if model == "two":
        both = completion("first")
        both["choices"].append({"index": 1, "finish_reason": "stop", "message": {"role": "assistant", "content": "second"}})
        return 200, both
    if model == "parts":
        return 200, completion([{"type": "text", "text": "one "}, {"type": "text", "text": "two"}])
    if model == "tools":
        return 200, completion(None, "tool_calls", tool_calls=[{"id": "1", "function": {"name": "f", "arguments": "{}"}}])
    if model == "looks-up":  # asks the tool `capital`, and gives what it said
        found = [message["content"] for message in body["messages"] if message["role"] == "tool"]
        name, arguments = ("finish", {"answer": found[0]}) if found else ("capital", {"country": "Peru"})
        assert name in [tool["function"]["name"] for tool in body["tools"]]
        return 200, completion(None, "tool_calls", tool_calls=[
            {"id": "call_%d" % len(found), "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}])
    if model == "cut":
        return 200, completion("half an ans", "length")
    if model == "cut-empty":
        return 200, completion(None, "length")
    if model == "refusal":
        return 200, completion(None, "stop", refusal="I can't help with that.")
    if model == "filter":
        return 200, completion(None, "content_filter")
    if model == "no-usage":
        reply = completion("fine")
        del reply["usage"], reply["model"]
        return 200, reply
    if model == "garbage":
        return 200, b"<html>" + str(key).encode() + b" is not JSON"
    if model == "list":
        return 200, b"[]"
    if model == "no-choices":
        return 200, {"choices": []}
    if model == "no-content":
        return 200, completion(None)
    if model == "error-200":
        return 200, {"error": {"message": "upstream is down", "code": 502}}
    if model == "slow":
        time.sleep(5)
        return 200, completion("late")
    if model == "fresh":  # another text each time
        return 200, completion("answer %d" % number)
    if model == "unhurried":
        time.sleep(0.15)
        return 200, completion("answer %d" % number)
    if model == "unhurried-500":
        time.sleep(0.1)
        return 500, {"error": {"message": "no luck"}}
    if model == "brief":
        time.sleep(0.05)
        return 200, completion("brief")
    if model == "401":
        return 401, {"error": {"message": "Incorrect API key provided: %s." % key, "type": "invalid_request_error", "code": "invalid_api_key"}}
    if model == "429":
        return 429, {"error": {"message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded"}}
    if model == "500":
        return 500, ("boom\n\n\n for %s " % key).encode() + b"\xc3\xa9" * 5000
    if model == "empty-503":
        return 503, b""
    if model == "openai-context":
        return 400, {"error": {"message": "too much", "type": "invalid_request_error", "code": "context_length_exceeded"}}
    if model == "vllm-context":
        return 400, {"object": "error", "message": "This model's maximum context length is 4096 tokens.", "type": "BadRequestError", "code": 400}
    if model == "llama-context":
        return 400, {"error": {"code": 400, "message": "the request exceeds", "type": "exceed_context_size_error"}}
    if model == "bad-request":
        return 400, {"error": {"message": "Unknown parameter: 'foo'.", "type": "invalid_request_error", "code": None}}
    if model == "detail":
        return 422, {"detail": [{"loc": ["body"], "msg": "field required", "type": "value_error"}]}
    if model == "text-error":
        return 404, {"error": "model 'x' not found"}
    return 404, {"error": {"message": "no model " + model}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        global in_flight, most_in_flight, served
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/shutdown":
            self.send_response(204)
            self.send_header("Content-Length", "0")
            self.end_headers()
            threading.Thread(target=self.server.shutdown).start()
            return
        body = json.loads(data)
        counted = body["model"] == "brief"  # the ones that "slow" leaves behind say nothing about the limit
        with lock:
            number = served  # how many came before; those that are slow, or left behind, too
            served += 1
            in_flight += counted
            most_in_flight = max(most_in_flight, in_flight)
        key = self.headers.get("Authorization")
        status, reply = answer(body["model"], key, body, self.path, number)
        with lock:
            in_flight -= counted
        if not isinstance(reply, bytes):
            reply = json.dumps(reply).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)
        except OSError:
            pass  # the client gave up, as the tests do with "slow"

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass


server = Server(("127.0.0.1", 0), Handler)
stop = threading.Timer(120, server.shutdown)
stop.daemon = True
stop.start()
print(server.server_address[1])
sys.stdout.flush()
server.serve_forever()
