"""Many calls, one in five of which meets a fault, by runs that are killed again and again: each call ends answered or explained, and what
the server is asked for twice after a whole answer is what was in flight at a kill.

    BUILD=build long_calls.py [TEST...]           1,000 calls and 3 kills
    BUILD=build long_calls.py --long [TEST...]    20,000 calls and 20 kills: `make faults-long`
"""

import collections
import hashlib
import json
import os
import random
import sys
import time

sys.dont_write_bytecode = True
import common
import model_server
import tls

LONG = "--long" in sys.argv[1:]
CALLS, KILLS = (20000, 20) if LONG else (1000, 3)
CONCURRENCY = 32
EACH = 5  # calls in a trial
common.PATIENCE = 3000 if LONG else 300

REFUSED = {"status": 429, "headers": {"retry-after-ms": "10"}, "body": {"error": {"message": "slow down"}}}
# One in five requests meets one of these.
FAULTS = 3 * [{"fault": "reset"}, {"fault": "close"}, {"fault": "cut"}, {"fault": "torn"}, *(
    {"status": status, "body": {"error": {"message": "no luck"}}} for status in (408, 500, 502, 504))] + [
        {"fault": "silent"}, {"body": '{"choices": [{"mess'}, {"body": ""}, {"status": 400, "body": {"error": {"message": "no"}}},
        {"status": 503}, {"status": 529}, REFUSED]


class Log:
    """What the server did, by prompt."""

    def __init__(self):
        self.whole = collections.Counter()  # good answers that were sent to their end
        self.under_way = collections.Counter()
        self.kinds = collections.Counter()

    def answer(self, asked):
        draw = int(hashlib.sha256(("%s %d" % (asked.prompt, asked.number)).encode()).hexdigest()[:8], 16)
        if draw % 5 == 0:
            step = FAULTS[draw // 5 % len(FAULTS)]
            self.kinds[step.get("fault") or step.get("status") or "unreadable"] += 1
            return step
        return {"body": model_server.good("re: " + asked.prompt), "begun": self.begin, "sent": self.end}

    def begin(self, prompt):
        self.under_way[prompt] += 1

    def end(self, prompt):
        self.under_way[prompt] -= 1
        self.whole[prompt] += 1


def kept_replies(path, query):
    """The prompts whose replies are in a file."""
    if not os.path.exists(path):
        return set()
    with common.copy_of(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if connection.execute("SELECT count(*) FROM sqlite_schema WHERE name IN ('replies', 'lmopt_calls')").fetchone() == (0,):
            return set()
        return {json.loads(text)["text"][len("re: "):] for text, in connection.execute(query)}


def spent_calls(path):
    with common.copy_of(path) as connection:
        row = connection.execute("SELECT spent_calls FROM lmopt_budgets WHERE model = ''").fetchone()
        return row[0] if row else 0


def run_and_kill(folder, server, log, command, env, look):
    """Runs to the end, killed on the way. Returns what was in flight at the kills, and the last run's output."""
    chance, in_flight, kills = random.Random(11), collections.Counter(), 0
    for kill in range(KILLS):
        aim = CALLS * (kill + chance.random()) / (KILLS + 1)
        process = common.start(*command, cwd=folder, env=env, log=os.path.join(folder, "log"))
        while process.poll() is None and len(log.whole) < aim:
            time.sleep(0.002)
        assert process.poll() is None, common.read(os.path.join(folder, "log"))
        process.kill()
        process.wait()
        kills += 1
        time.sleep(0.2)  # what the server has under way comes to its end
        with server.lock:
            answered = set(log.whole) | set(log.under_way)
        lost = answered - look()
        assert len(lost) <= CONCURRENCY, "%d answers were lost by a kill" % len(lost)
        in_flight.update(lost)
    status, out, errors = common.lmopt(*command, cwd=folder, env=env)
    assert status == 0, errors[-2000:]
    return in_flight, out


def check_twice(log, in_flight, kept):
    """Only what was in flight at a kill was answered again, once for each kill; everything else that was answered is kept."""
    assert kept <= set(log.whole), "an answer that nobody gave"
    # What a kill has lost may have met a fault for good when it was asked again.
    lost = set(log.whole) - kept - set(in_flight)
    assert not lost, "answers are lost: %s" % sorted(lost)[:20]
    twice = {prompt: count - 1 for prompt, count in log.whole.items() if count > 1}
    for prompt, count in twice.items():
        assert count <= in_flight[prompt], "'%s' was answered %d times" % (prompt, count + 1)
    return sum(twice.values())


def tell(server, log, answered, explained, in_flight, twice, began):
    faults = sum(log.kinds.values())
    assert faults >= 0.18 * server.requests(), (faults, server.requests())
    return "%d calls, %d answered, %d explained (%s); %d requests, %d faults (%s), %d kills, %d in flight at them, %d answered twice; %.0f s" % (
        CALLS, answered, sum(explained.values()), ", ".join("%s: %d" % item for item in sorted(explained.items())) or "none",
        server.requests(), faults, ", ".join("%s: %d" % (name, count) for name, count in sorted(log.kinds.items(), key=str)),
        KILLS, sum(in_flight.values()), twice, time.monotonic() - began)


def environment(server, **more):
    return common.environment(**{**tls.NONE, "FAULTS_SERVER": server.url, "FAULTS_CALLS": CALLS, "FAULTS_TRIALS": None, **more})


def plain_tasks_with_the_cache(folder):
    log, began = Log(), time.monotonic()
    path = os.path.join(folder, "cache.db")
    common.copy_script("long_calls.lua", folder)
    with model_server.Server(log.answer) as server:
        def look():
            return kept_replies(path, "SELECT reply FROM replies")

        in_flight, out = run_and_kill(folder, server, log, ("run", "long_calls.lua"), environment(server, LMOPT_CACHE=path), look)
        said = json.loads(out)
        explained = collections.Counter(said["explained"])
        assert said["answered"] + sum(explained.values()) == CALLS, said["answered"]
        kept = look()
        assert len(kept) == said["answered"], (len(kept), said["answered"])
        return tell(server, log, said["answered"], explained, in_flight, check_twice(log, in_flight, kept), began)


def a_study_with_its_journal(folder):
    log, began = Log(), time.monotonic()
    path = os.path.join(folder, "calls.db")
    trials = CALLS // EACH
    common.copy_script("long_calls.lua", folder)
    with model_server.Server(log.answer) as server:
        def look():
            return kept_replies(path, "SELECT text FROM lmopt_calls JOIN lmopt_texts ON hash = reply")

        run = ("run", "long_calls.lua", "--seed", "7", "--storage", path, "--jobs", str(CONCURRENCY))
        in_flight, _ = run_and_kill(folder, server, log, run, environment(server, FAULTS_TRIALS=trials, LMOPT_CACHE="off"), look)
        found = common.look(path)
        assert len(found) == trials and {trial["state"] for trial in found.values()} == {"COMPLETE"}, len(found)
        explained = collections.Counter()
        for trial in found.values():
            explained.update(filter(None, json.loads(trial["user"]["explained"][0]).split("; ")))
        answered = sum(int(trial["values"][0][0]) for trial in found.values())
        assert answered + sum(explained.values()) == CALLS, (answered, explained)
        kept = look()
        assert len(kept) == answered, (len(kept), answered)
        spent, worked = spent_calls(path), server.worked
        assert worked <= spent <= worked + KILLS * CONCURRENCY, (worked, spent)
        return tell(server, log, answered, explained, in_flight, check_twice(log, in_flight, kept), began) + \
            "; %d in the ledger for %d that the server worked for" % (spent, worked)


TESTS = [plain_tasks_with_the_cache, a_study_with_its_journal]

if __name__ == "__main__":
    if LONG:
        sys.argv.remove("--long")
    sys.exit(common.run_tests(TESTS))
