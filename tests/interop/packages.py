"""The vendors' own packages as witnesses: for the same call, what they send and what lmopt sends agree field by field, and so does
what they and lmopt read in the same answer.

Differences that are meant are named with each call, by their row of the table in docs/providers.md.
"""

import json
import os
import signal
import subprocess
import tempfile
import time
import warnings

# Nothing of who runs this: no keys, no addresses, no proxies.
for name in list(os.environ):
    if name.startswith(("OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_", "OLLAMA_", "MISTRAL_")) or name.lower().endswith("_proxy"):
        del os.environ[name]

import tap
from vendors import anthropic_calls, compare, gemini_calls, mistral_calls, ollama_calls, openai_calls
from vendors.server import Server

HERE = os.path.dirname(os.path.abspath(__file__))
LMOPT = os.path.join(os.path.abspath(os.environ.get("BUILD", "build")), "lmopt")
DOCS = os.path.join(HERE, "..", "..", "docs", "providers.md")
KEY = "sk-interop-0123456789"
PATIENCE = 120  # seconds

VENDORS = (openai_calls, anthropic_calls, gemini_calls, ollama_calls, mistral_calls)


def ask_lmopt(server, calls):
    """Has lmopt make all calls, in one process: a list of {"reply"} or {"error"}."""
    asked = []
    for vendor, call in calls:
        options = {"base_url": server.address(call.number, "lmopt") + vendor.LMOPT_PATH, "api_key": KEY, "cache": False, **call.options}
        asked.append({"kind": call.kind, "model": "%s/%s" % (vendor.PROVIDER, call.model), "options": options, **call.asked()})
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(asked, file)
        file.flush()
        done = subprocess.run([LMOPT, "run", os.path.join(HERE, "calls.lua"), "--", file.name], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, (done.returncode, done.stdout[-1000:], done.stderr[-3000:])
    return json.loads(done.stdout)


def ask_package(server, vendor, call):
    client = vendor.client(server.address(call.number, "package"), KEY)
    try:
        return {"reply": call.ask(client)}
    except vendor.ERRORS as problem:
        return {"error": problem}


def check_requests(server, vendor, call, docs):
    """What was sent agrees, and as often."""
    theirs, ours = server.seen[call.number, "package"], server.seen[call.number, "lmopt"]
    assert theirs, "the package sent nothing"
    meant = {path: row for path, row in call.meant.items() if not path.startswith("reply.")}
    for row in call.meant.values():
        assert "| %s |" % row in docs, "docs/providers.md has no row '%s'" % row
    found = {} if len(theirs) == len(ours) else {"requests": (len(theirs), len(ours))}
    for package, lmopt in zip(theirs, ours):
        found.update(compare.compare_requests(package, lmopt, getattr(vendor, "normal", lambda body: body)))
    compare.check(found, meant)


def check_reply(vendor, call, theirs, ours):
    """What is read agrees: the reply, or the kind of error."""
    if "error" in theirs:
        assert "error" in ours, "the package raised %r, lmopt gave %r" % (theirs["error"], ours)
        kind = vendor.kind_of(theirs["error"])
        assert ours["error"]["kind"] == kind, "%s stands for '%s', lmopt said '%s': %s" % (
            type(theirs["error"]).__name__, kind, ours["error"]["kind"], ours["error"]["message"])
        return
    assert "reply" in ours, "lmopt said %s" % ours["error"]
    meant = {path[len("reply."):]: row for path, row in call.meant.items() if path.startswith("reply.")}
    compare.check(compare.differences(theirs["reply"], call.words(ours["reply"])), meant)


def main():
    started = time.monotonic()
    signal.alarm(PATIENCE)
    warnings.simplefilter("ignore", DeprecationWarning)  # of models
    with open(DOCS, encoding="utf-8") as file:
        docs = file.read()
    server = Server()
    calls = []
    for vendor in VENDORS:
        for call in vendor.calls():
            call.number = server.add(call.answers)
            calls.append((vendor, call))
    with tap.check("lmopt made %d calls" % len(calls)):
        ours = ask_lmopt(server, calls)
    for (vendor, call), outcome in zip(calls, ours):
        with tap.check("%s: %s" % (vendor.NAME, call.name)):
            theirs = ask_package(server, vendor, call)
            check_requests(server, vendor, call, docs)
            check_reply(vendor, call, theirs, outcome)
    print("# %d calls, %.1f s" % (len(calls), time.monotonic() - started))
    server.shutdown()
    tap.finish()


if __name__ == "__main__":
    main()
