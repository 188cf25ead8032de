"""Each fault, and what it comes to: the error's kind, the requests that the server really saw, the budget.

    BUILD=build matrix.py            prints the matrix, and compares it with the table in docs/faults.md
    BUILD=build matrix.py --table    prints the table for docs/faults.md

Each row is made twice: with one attempt and the fault at each request, and with retries and the fault at the first request only.
"""

import gzip
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
import authority
import common
import model_server
import tls

DOCUMENT = os.path.join(common.HERE, "..", "..", "docs", "faults.md")
KEY = "sk-fault-key-0123456789"
MAX_TOKENS = 10  # as in ask.lua
HALF = '{"choices": [{"message": {"role": "assistant", "content": "cut o'
REPLY = (1, 9)  # calls and tokens of the server's good reply


class Row:
    """What was found of one fault."""

    def __init__(self, name):
        self.name = name
        self.kind = self.detail = ""
        self.requests = self.ledger = None  # with retries
        self.charge = ""

    def cells(self):
        return (self.name, "`%s`" % self.kind if self.kind else "none: it is answered", self.detail, str(self.requests), self.charge)


def charge_of(spent, reserve, name):
    """What the budget was charged for one attempt, in words."""
    found = (spent["calls"], spent["tokens"])
    assert abs(spent["usd"] - spent["tokens"] / 1e6) < 1e-12, (name, spent)
    words = {(0, 0): "nothing", (1, 0): "one call", REPLY: "the reply", (1, reserve): "the reserve"}
    assert found in words, (name, found, reserve)
    return words[found]


def describe(row, result):
    row.kind = result.get("kind", "")
    said = "%s %s" % (result.get("reason") or "", result.get("status") or "")
    row.detail = "`%s`" % said.strip() if said.strip() else ""
    assert KEY not in str(result), result


def check_pair(row, once, twice, reserve):
    """From the outcomes of the two runs (result, spent, requests) to the row."""
    result, spent, requests = once
    describe(row, result)
    row.charge = charge_of(spent, reserve, row.name)
    assert requests <= 1, (row.name, requests)
    result, spent, row.requests = twice
    row.ledger = (spent["calls"], spent["tokens"])
    answered = "text" in result
    if row.kind and not answered:
        assert row.requests == requests, (row.name, "it was sent %d times and never answered" % row.requests)
    charged = {"nothing": (0, 0), "one call": (1, 0), "the reply": REPLY, "the reserve": (1, reserve)}[row.charge]
    if row.kind and answered:
        charged = (charged[0] + REPLY[0], charged[1] + REPLY[1])
    assert row.ledger == charged, (row.name, row.ledger, charged)


# --- what a server answers ---


def ask_server(folder, step, retries, options, **more):
    """The outcome of one call; with retries, only the first request meets the step."""

    def answer(asked):
        return step if not retries or asked.number == 1 else {"body": model_server.good("fine")}

    with model_server.Server(answer) as server:
        options = dict(options, **({} if retries else {"max_retries": 0}))
        results, spent = tls.ask(folder, server.url, options=options, **more)
        return results[0], spent, server.requests(), server.body_size


def answered_with(name, step, options=None, **more):
    def make(folder):
        row = Row(name)
        once = ask_server(folder, step, False, options or {}, **more)
        twice = ask_server(folder, step, True, options or {}, **more)
        check_pair(row, once[:3], twice[:3], once[3] + MAX_TOKENS)
        return row

    return make


def refusal(status, headers=None):
    return {"status": status, "headers": headers or {}, "body": {"error": {"message": "asked for %d" % status}}}


def status(code):
    return answered_with(str(code), refusal(code))


def long_reply():
    """Compressed it is small."""
    body = b" " * (65 << 20)
    return {"body": gzip.compress(body, 1), "headers": {"Content-Encoding": "gzip"}}


def stream(complete=True):
    """A reply in pieces: the body of an event stream."""
    pieces = [{"choices": [{"delta": {"content": word + " "}}]} for word in ("this", "is", "an", "answer")]
    if complete:
        pieces += [{"choices": [{"delta": {}, "finish_reason": "stop"}]},
                   {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}]
    events = [json.dumps(piece) for piece in pieces] + (["[DONE]"] if complete else [])
    return {"body": "".join("data: %s\n\n" % event for event in events), "headers": {"Content-Type": "text/event-stream"}}


def ten_megabytes():
    return {"body": model_server.good("x" * 10_000_000)}


# --- where nothing answers ---


def unreachable(name, url):
    def make(folder):
        row = Row(name)
        outcomes = []
        for options in ({"max_retries": 0}, {}):
            results, spent = tls.ask(folder, url(), options=options)
            outcomes.append((results[0], spent, 0))
        check_pair(row, *outcomes, 0)
        return row

    return make


def went_away(folder):
    """It answers once and goes; with retries, it comes back."""
    row = Row("connection refused by a server that has answered before")
    outcomes = []
    for retries in (False, True):
        servers = []

        def come_back(port):
            servers.append(model_server.Server(port=port))

        def answer(asked):
            server = servers[0]
            server.shutdown()
            server.server_close()
            if retries:
                threading.Timer(0.3, come_back, (server.port,)).start()
            return {"body": model_server.good("fine"), "headers": {"Connection": "close"}}

        servers.append(model_server.Server(answer))
        results, spent = tls.ask(folder, servers[0].url, 2, 1, options={} if retries else {"max_retries": 0})
        assert results[0]["text"] == "fine", results
        spent = {"calls": spent["calls"] - 1, "tokens": spent["tokens"] - 9, "usd": spent["usd"] - 9 / 1e6}
        outcomes.append((results[1], spent, sum(server.requests() for server in servers) - 1))
        for server in servers[1:]:
            server.close()
    check_pair(row, *outcomes, 0)
    return row


def certificate(folder):
    row = Row("a certificate that does not verify")
    context = model_server.tls_context(*authority.Authority(folder).issue("server"))
    with model_server.Server(context=context) as server:
        outcomes = []
        for options in ({"max_retries": 0}, {}):
            results, spent = tls.ask(folder, server.url, options=options)
            outcomes.append((results[0], spent, server.requests()))
        check_pair(row, *outcomes, 0)
    return row


def redirect(code):
    """Nothing goes to the other host, the key least of all."""

    def make(folder):
        with model_server.Server() as other:
            step = {"status": code, "headers": {"Location": other.url + "/chat/completions"}, "body": ""}
            row = answered_with("%d to another host" % code, step)(folder)
            assert other.connections == 0, "the redirect was followed"
        return row

    return make


# --- the cache's file ---


def cache(name, damage, said, env=None):
    """`damage(path)` is done to a cache with a reply in it; it may give back what is to be called at the end."""

    def make(folder):
        row = Row(name)
        path = os.path.join(folder, "c.db")
        with model_server.Server(lambda asked: {"body": model_server.good("fine")}) as server:
            tls.ask(folder, server.url, FAULTS_CACHE=path)
            before = server.requests()
            end = damage(path)
            more = env(folder) if env else {}
            # Two prompts: the first may be in the cache, the second is not.
            _, out, errors = common.lmopt("run", "ask.lua", cwd=folder,
                                          env=tls.environment(server.url, 2, FAULTS_CACHE=path, **more))
            results, spent = tls.read(0, out, errors)
            if end:
                end()
            describe(row, results[1])
            row.requests = server.requests() - before - ("cached" in results[0] and not results[0]["cached"])
            if not results[0].get("cached") and "text" in results[0]:  # the reply in the cache was out of reach
                spent = {"calls": spent["calls"] - 1, "tokens": spent["tokens"] - 9, "usd": spent["usd"] - 9 / 1e6}
            row.charge = charge_of(spent, 0, name)
            row.ledger = (spent["calls"], spent["tokens"])
            lines = [line for line in errors.split("\n") if "the cache" in line]
            wanted = said and [line for line in lines if said in line] or []
            assert len(lines) == len(wanted) == (1 if said else 0), (name, errors)
        return row

    return make


def lock(path):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    return connection.close


def replace(path):
    with open(path, "wb") as file:
        file.write(b"This is no database. " * 1000)


def damage_pages(path):
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(os.urandom(os.path.getsize(path) - 4096))


def full_disk(folder):
    """The environment of a process that can write no more."""
    library = os.path.join(folder, "full_disk.so")
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, os.path.join(common.HERE, "full_disk.c"), "-ldl"], check=True)
    if common.SANITIZED:
        sanitizer = subprocess.run([compiler, "-print-file-name=libasan.so"], check=True, stdout=subprocess.PIPE).stdout.decode().strip()
        library = sanitizer + ":" + library
    return {"LD_PRELOAD": library, "LM_FULL_DISK_AFTER": 0}


ROWS = [
    unreachable("connection refused", lambda: "http://127.0.0.1:%d/v1" % authority.free_port()),
    went_away,
    unreachable("no such host", lambda: "http://%s.test/v1" % ("x" * 64)),  # no name server is asked for such a name
    certificate,
    answered_with("reset before a reply", {"fault": "reset"}),
    answered_with("closed before a reply", {"fault": "close"}),
    answered_with("reset in the middle of the reply", {"fault": "torn"}),
    answered_with("closed in the middle of the reply", {"fault": "cut"}),
    answered_with("slow first byte (`first_byte_timeout`)", {"delay": 3}, {"first_byte_timeout": 0.5}),
    answered_with("silence in the middle (`idle_timeout`)", {"fault": "silent"}, {"idle_timeout": 0.3}),
    answered_with("slow trickle (`timeout`)", {"fault": "trickle"}, {"timeout": 1}),
    answered_with("truncated JSON", {"body": HALF}),
    answered_with("wrong content type", {"headers": {"Content-Type": "text/html"}, "body": "<html>hello</html>"}),
    answered_with("empty body", {"body": ""}),
    answered_with("no HTTP", {"raw": b"\x00\x01 this is no HTTP\r\n\r\n"}),
    answered_with("body of 10 MB", ten_megabytes()),
    answered_with("body of more than 64 MiB", long_reply()),
    answered_with("invalid UTF-8", {"body": b'{"choices":[{"message":{"content":"\xff"}}],"usage":{"prompt_tokens":7,"completion_tokens":2}}'}),
    answered_with("stream, whole", stream(), FAULTS_STREAM=1),
    answered_with("stream that is closed half way", {"fault": "cut", **stream()}, FAULTS_STREAM=1),
    answered_with("stream that falls silent (`idle_timeout`)", {"fault": "silent", **stream()}, {"idle_timeout": 0.3}, FAULTS_STREAM=1),
    answered_with("stream that ends before the answer does", stream(False), FAULTS_STREAM=1),
    answered_with("stream without a first byte (`first_byte_timeout`)", {"delay": 3}, {"first_byte_timeout": 0.5}, FAULTS_STREAM=1),
    answered_with("stream, 500", refusal(500), FAULTS_STREAM=1),
    answered_with("stream, 429", refusal(429), FAULTS_STREAM=1),
    *(status(code) for code in (400, 401, 403, 404, 408, 409, 413, 422)),
    answered_with("429", refusal(429)),
    answered_with("429 with `Retry-After`", refusal(429, {"Retry-After": "1"})),
    answered_with("429 with `Retry-After` of an hour", refusal(429, {"Retry-After": "3600"})),
    *(status(code) for code in (500, 502, 503, 504, 529)),
    *(redirect(code) for code in (302, 307, 308)),
    cache("cache file locked", lock, "is locked by another program: replies are kept in memory only"),
    cache("cache file damaged", damage_pages, "is damaged: set aside"),
    cache("cache file that is no database", replace, ""),
    cache("disk of the cache full", lambda path: None, "can't grow, the disk is full", full_disk),
]

HEADERS = ("fault", "`kind`", "`reason` or `status`", "requests", "charged for the fault")


def documented():
    """The rows of the table in the document."""
    rows = {}
    for line in common.read(DOCUMENT).split("\n"):
        cells = tuple(cell.strip() for cell in line.strip("|").split("|"))
        if line.startswith("| ") and len(cells) == len(HEADERS) and cells != HEADERS and cells[0] != "---":
            rows[cells[0]] = cells
    return rows


def make(fault):
    with tempfile.TemporaryDirectory(prefix="lmopt-faults-", ignore_cleanup_errors=True) as folder:
        return fault(folder)


def main():
    table = "--table" in sys.argv[1:]
    said = documented()
    if not table:
        print("1..%d" % (len(ROWS) + 1))
    failed = 0
    names = set()
    for number, fault in enumerate(ROWS, 1):
        row, problem = None, None
        try:
            row = make(fault)
            names.add(row.name)
            if not table:
                assert said.get(row.name) == row.cells(), "docs/faults.md says %s, it is %s" % (said.get(row.name), row.cells())
        except Exception as error:  # a row that breaks is one that fails
            problem = "%s: %s" % (type(error).__name__, error)
        if table and row:
            print("| " + " | ".join(row.cells()) + " |", flush=True)
        shown = "%-55s %-14s %-18s requests %s, ledger %s" % (row.name, row.kind or "-", row.detail.strip("`") or "-", row.requests, row.ledger) \
            if row else "row %d" % number
        if not table or problem:
            print("%sok %d - %s" % ("not " if problem else "", number, shown), flush=True)
        if problem:
            failed += 1
            print("".join("# %s\n" % line for line in problem.split("\n")), end="", flush=True)
    if not table:
        stale = sorted(set(said) - names)
        print("%sok %d - the document has no other rows%s" % ("not " if stale else "", len(ROWS) + 1, "".join(": " + name for name in stale)))
        failed += bool(stale)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
