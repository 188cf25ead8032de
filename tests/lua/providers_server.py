"""A server for the specs of providers, on a free port of the loopback address: it speaks each vendor's language, as the path says.

Prints its port on one line and serves until somebody posts to /shutdown, or for five minutes at most. The model "echo" answers with what
it was sent, "error-429" with that status, "slow" after a second; embeddings are (bytes of the text, place in the request).
"""
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VENDORS = {
    "/v1/chat/completions": "openai", "/v1/responses": "responses", "/v1/messages": "anthropic", "/api/chat": "ollama",
    "/v1/embeddings": "openai-embeddings", "/api/embed": "ollama-embeddings",
}


def vendor_of(path):
    if path.endswith(":generateContent"):
        return "gemini"
    if path.endswith(":batchEmbedContents"):
        return "gemini-embeddings"
    return VENDORS.get(path, "plain")


def reply(vendor, text, body):
    if vendor == "openai":
        return {"model": "served", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
                "usage": {"prompt_tokens": 1000, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 400}}}
    if vendor == "responses":
        return {"status": "completed", "model": "served", "error": None, "output": [
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text, "annotations": []}]}],
            "usage": {"input_tokens": 1000, "output_tokens": 10}}
    if vendor == "anthropic":
        return {"type": "message", "role": "assistant", "model": "served", "content": [{"type": "text", "text": text}],
                "stop_reason": "end_turn", "usage": {"input_tokens": 600, "cache_read_input_tokens": 400, "output_tokens": 10}}
    if vendor == "gemini":
        return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}],
                "modelVersion": "served", "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 4, "thoughtsTokenCount": 6}}
    if vendor == "ollama":
        return {"model": "served", "message": {"role": "assistant", "content": text}, "done": True, "done_reason": "stop",
                "prompt_eval_count": 1000, "eval_count": 10}
    if vendor == "plain":
        return {"answer": text, "tokens": [1000, 10]}
    if vendor == "gemini-embeddings":
        texts = [one["content"]["parts"][0]["text"] for one in body["requests"]]
        return {"embeddings": [{"values": [float(len(t)), float(i)]} for i, t in enumerate(texts)]}
    vectors = [[float(len(t)), float(i)] for i, t in enumerate(body["input"])]
    if vendor == "ollama-embeddings":
        return {"model": "served", "embeddings": vectors, "prompt_eval_count": 7}
    data = [{"index": i, "embedding": v} for i, v in enumerate(vectors)]
    return {"model": "served", "data": data[::-1], "usage": {"prompt_tokens": 7}}  # in no particular order


def error(vendor, status, headers):
    message = "no luck for %s" % headers  # it is careless with keys
    if vendor == "anthropic":
        return {"type": "error", "error": {"type": "some_error", "message": message}}
    if vendor == "gemini":
        return {"error": {"code": status, "message": message, "status": "SOME_STATUS"}}
    if vendor in ("ollama", "plain"):
        return {"error": message}
    return {"error": {"message": message, "type": "some_error", "code": None}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/shutdown":
            self.send_response(204)
            self.send_header("Content-Length", "0")
            self.end_headers()
            threading.Thread(target=self.server.shutdown).start()
            return
        body = json.loads(data)
        vendor = vendor_of(self.path)
        model = body.get("model") or self.path.rsplit("/", 1)[-1].split(":")[0]
        headers = {name.lower(): value for name, value in self.headers.items()}
        status = 200
        if model == "slow":
            time.sleep(1)
        if model.startswith("error-"):
            status = int(model[6:])
            answer = error(vendor, status, headers)
        else:
            answer = reply(vendor, json.dumps({"path": self.path, "headers": headers, "body": body}), body)
        text = json.dumps(answer).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        except OSError:
            pass  # the client gave up

    def log_message(self, *arguments):
        pass


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
