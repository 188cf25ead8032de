"""OpenTelemetry's own code as the witness: what `lmopt run --trace` posts is read with the messages of its protocol, and the
attributes have the names of its conventions.

OTLP's JSON is that of protobuf but for ids, which are hexadecimal: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

import base64
import json
import os
import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes, process_attributes
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes, service_attributes, telemetry_attributes

import tap

HERE = os.path.dirname(os.path.abspath(__file__))
LMOPT = os.path.join(os.path.abspath(os.environ.get("BUILD", "build")), "lmopt")
KEY = "sk-interop-0123456789"
TOKEN = "token-of-the-collector"
PATIENCE = 60  # seconds

MODULES = (gen_ai_attributes, process_attributes, error_attributes, http_attributes, server_attributes, service_attributes,
           telemetry_attributes)
NAMES = {value for module in MODULES for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}
KINDS = {"trial", "row", "module", "predictor", "call", "tool"}


def bytes_of_ids(value):
    """What was posted, with ids as protobuf's JSON has them; they have to be hexadecimal, and as long as they should."""
    if isinstance(value, list):
        return [bytes_of_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for name, item in value.items():
        if name in ("traceId", "spanId", "parentSpanId"):
            digits = 32 if name == "traceId" else 16
            assert re.fullmatch("[0-9a-f]{%d}" % digits, item) and int(item, 16) != 0, (name, item)
            item = base64.b64encode(bytes.fromhex(item)).decode()
        made[name] = bytes_of_ids(item)
    return made


class Server(ThreadingHTTPServer):
    """A collector, and a model server that speaks OpenAI's language."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.posted, self.lock = [], threading.Lock()
        self.address = "http://127.0.0.1:%d" % self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/traces":
            with self.server.lock:
                self.server.posted.append((dict(self.headers.items()), body.decode()))
            return self.answer(200, json_format.MessageToDict(ExportTraceServiceResponse()))
        asked = json.loads(body)["messages"][-1]["content"]
        if asked.startswith("refuse"):
            return self.answer(400, {"error": {"message": "no: " + asked}})
        field = "sure" if "[[ ## sure ## ]]" in asked else "answer"
        text = "[[ ## %s ## ]]\nthe secret reply\n\n[[ ## completed ## ]]" % field
        self.answer(200, {"model": "tiny-1", "usage": {"prompt_tokens": 11, "completion_tokens": 3},
                          "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": text}}]})

    def answer(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


def value_of(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    return getattr(value, kind)


def attributes_of(owner):
    found = {one.key: value_of(one.value) for one in owner.attributes}
    assert len(found) == len(owner.attributes), "an attribute stands twice"
    return found


def run(server, *options, **more):
    """A run of traces.lua: the requests it posted, as (headers, text, message)."""
    server.posted.clear()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_") and not name.lower().endswith("_proxy")}
    environment.update(LMOPT_CACHE="off", **more)
    done = subprocess.run([LMOPT, "run", os.path.join(HERE, "traces.lua"), "--quiet", *options, "--", server.address + "/v1", KEY],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, env=environment)
    assert done.returncode == 0 and b"spans" not in done.stderr, (done.returncode, done.stdout, done.stderr)
    return [(headers, text, json_format.ParseDict(bytes_of_ids(json.loads(text)), ExportTraceServiceRequest()))
            for headers, text in server.posted]


class Tree:
    """The spans of all requests."""

    def __init__(self, requests):
        self.spans = [span for _, _, request in requests for resource in request.resource_spans for scope in resource.scope_spans
                      for span in scope.spans]
        self.by_id = {span.span_id: span for span in self.spans}
        self.attributes = {span.span_id: attributes_of(span) for span in self.spans}

    def children(self, parent):
        below = [span for span in self.spans if span.parent_span_id == parent.span_id]
        return sorted(below, key=lambda span: (span.start_time_unix_nano, span.span_id))

    def outline(self, span):
        below = [self.outline(child) for child in self.children(span)]
        return [span.name, *below] if below else span.name


EXPECTED = [["predict answer", "chat tiny"], "execute_tool look_up", ["predict checks[1]", "chat tiny"]]


def main():
    server = Server()
    requests = run(server, "--trace", server.address)
    tree = Tree(requests)

    with tap.check("every request is an ExportTraceServiceRequest") as said:
        assert requests and len(tree.spans) == len(tree.by_id) == 15, len(tree.spans)
        for headers, _, request in requests:
            assert headers["Content-Type"] == "application/json"
            resource = attributes_of(request.resource_spans[0].resource)
            assert resource["service.name"] == "lmopt" and resource["telemetry.sdk.language"] == "lua", resource
            assert request.resource_spans[0].scope_spans[0].scope.name == "lmopt"
        said.append("%d spans in %d requests" % (len(tree.spans), len(requests)))

    with tap.check("spans hang together as the program's calls do"):
        roots = [span for span in tree.spans if not span.parent_span_id]
        roots.sort(key=lambda span: tree.attributes[span.span_id]["lmopt.trial.number"])
        assert len(roots) == 2 and len({span.trace_id for span in roots}) == 2
        program = ['invoke_workflow module "question"', *EXPECTED]
        assert tree.outline(roots[0]) == ["trial", program], tree.outline(roots[0])
        assert tree.outline(roots[1]) == ["trial", program, "chat tiny"], tree.outline(roots[1])
        for span in tree.spans:
            assert 1.6e18 < span.start_time_unix_nano <= span.end_time_unix_nano
            if span.parent_span_id:
                above = tree.by_id[span.parent_span_id]
                assert above.trace_id == span.trace_id
                assert above.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano <= above.end_time_unix_nano

    with tap.check("attributes have the names of the conventions, or our own") as said:
        used = {name for found in tree.attributes.values() for name in found}
        used |= {name for _, _, request in requests for name in attributes_of(request.resource_spans[0].resource)}
        unknown = {name for name in used if name not in NAMES and not name.startswith("lmopt.")}
        assert not unknown, unknown
        for found in tree.attributes.values():
            assert found["lmopt.kind"] in KINDS
        said.append("%d of OpenTelemetry's" % len([name for name in used if name in NAMES]))

    with tap.check("a model call says what the conventions ask for"):
        call = next(span for span in tree.spans if span.name == "chat tiny" and "gen_ai.request.stop_sequences" in tree.attributes[span.span_id])
        found = tree.attributes[call.span_id]
        port = int(server.address.rsplit(":", 1)[1])
        wanted = {
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "tiny", "server.address": "127.0.0.1",
            "server.port": port, "gen_ai.request.temperature": 0.0, "gen_ai.request.max_tokens": 64, "gen_ai.request.seed": 7,
            "gen_ai.request.stop_sequences": ["END"], "gen_ai.response.model": "tiny-1", "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 3, "lmopt.attempts": 1, "lmopt.cached": False,
        }
        assert {name: found.get(name) for name in wanted} == wanted, found
        assert isinstance(found["gen_ai.request.temperature"], float) and isinstance(found["gen_ai.request.seed"], int)
        assert abs(found["lmopt.usage.usd"] - 17e-6) < 1e-12
        assert call.kind == Span.SPAN_KIND_CLIENT and call.status.code == Status.STATUS_CODE_UNSET
        assert {span.kind for span in tree.spans if span.name != "chat tiny"} == {Span.SPAN_KIND_INTERNAL}

    with tap.check("errors have a status and a type"):
        failed = {span.name: (span, tree.attributes[span.span_id]) for span in tree.spans if span.status.code == Status.STATUS_CODE_ERROR}
        assert set(failed) == {"predict checks[1]", "chat tiny", "trial"}, set(failed)
        assert failed["predict checks[1]"][1]["error.type"] == "parse"
        span, found = failed["chat tiny"]
        assert (found["error.type"], found.get("http.response.status_code")) == ("bad_response", 400), found
        assert failed["trial"][1]["lmopt.trial.state"] == "failed"

    with tap.check("prompts and replies are not sent, nor is the key"):
        for _, text, _ in requests:
            assert "secret reply" not in text and "What is" not in text and KEY not in text

    requests = run(server, "--trace", "otlp", "--trace-content", OTEL_EXPORTER_OTLP_ENDPOINT=server.address + "/", OTEL_SERVICE_NAME="tuned",
                   OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%%20%s,x-more=1" % TOKEN, OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test")
    tree = Tree(requests)

    with tap.check("the environment says where to, with what, and as whom"):
        for headers, text, request in requests:
            assert headers["authorization"] == "Bearer " + TOKEN and headers["x-more"] == "1"
            resource = attributes_of(request.resource_spans[0].resource)
            assert resource["service.name"] == "tuned" and resource["deployment.environment.name"] == "test"
            assert TOKEN not in text

    with tap.check("with --trace-content messages come in the conventions' form, without the key"):
        seen = 0
        for span in tree.spans:
            found = tree.attributes[span.span_id]
            if span.name != "chat tiny":
                continue
            for message in json.loads(found["gen_ai.input.messages"]):
                assert message["role"] in ("system", "user") and message["parts"][0]["type"] == "text" and message["parts"][0]["content"]
            if span.status.code == Status.STATUS_CODE_UNSET:
                (message,) = json.loads(found["gen_ai.output.messages"])
                assert message["role"] == "assistant" and message["finish_reason"] == "stop"
                assert "the secret reply" in message["parts"][0]["content"]
                seen += 1
        assert seen == 4
        texts = "".join(text for _, text, _ in requests)
        assert KEY not in texts and "refuse: [key]" in texts and "What is" in texts
        tool = next(tree.attributes[span.span_id] for span in tree.spans if span.name == "execute_tool look_up")
        assert json.loads(tool["gen_ai.tool.call.result"]) == {"found": True}

    with tap.check("headers of the environment go nowhere else"):
        requests = run(server, "--trace", server.address, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
                       OTEL_EXPORTER_OTLP_HEADERS="authorization=" + TOKEN)
        assert requests and all(TOKEN not in str(headers) for headers, _, _ in requests)

    tap.finish()


main()
