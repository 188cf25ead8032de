"""kill -9 at random moments: what is finished stays, what is not runs again under its number, and nobody can tell afterwards.

    BUILD=build kill.py [TEST...]        FAULTS_KILLS=100: how often
"""

import collections
import hashlib
import json
import os
import random
import signal
import sys
import threading
import time

sys.dont_write_bytecode = True
import common
import loopback

KILLS = int(os.environ.get("FAULTS_KILLS", "20" if common.SANITIZED else "100"))
TRIALS = 200
KILLS_WITH_A_SPACE = max(5, KILLS // 10)
MOST_OF_ONE_STUDY = 25  # kills, then it may finish


def reference(folder, arguments, env):
    """The study that was never killed, one trial at a time."""
    path = os.path.join(folder, "reference.db")
    status, _, errors = common.lmopt(*arguments, "--storage", path, "--jobs", "1", cwd=folder, env=env)
    assert status == 0, (status, errors)
    trials = common.look(path)
    assert len(trials) == len(common.finished(trials))
    return trials


def check_after_kill(path, before, expected):
    """The file as the kill left it: whole, nothing finished is lost or changed, and all of it is the reference's."""
    trials = common.look(path)
    if trials is None:
        assert not before
        return {}, 0
    now = common.finished(trials)
    for number, trial in before.items():
        assert number in now, "trial %d was finished and is %s" % (number, trials.get(number, {}).get("state"))
        assert now[number] == trial, "trial %d was finished and has changed" % number
    common.same({n: expected[n] for n in now}, now, "after a kill")
    for number, trial in trials.items():
        for name, value in trial["params"].items():
            assert expected[number]["params"].get(name) == value, "trial %d: %s = %s in flight" % (number, name, value)
    return now, sum(trial["state"] == "RUNNING" for trial in trials.values())


def kill_after(process, delay):
    """Waits, kills; was it still running?"""
    deadline = time.monotonic() + delay
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(min(0.005, max(0, deadline - time.monotonic())))
    alive = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait(common.PATIENCE)
    return alive and process.returncode == -signal.SIGKILL


def kill_often(folder, script, wanted):
    chance = random.Random(20240607)
    common.copy_script(script, folder)
    kills = in_flight = hits = studies = 0
    pace = None
    while kills < wanted:
        studies += 1
        seed = 1000 + studies
        home = os.path.join(folder, str(seed))
        os.mkdir(home)
        path, log = os.path.join(home, "s.db"), os.path.join(home, "log")
        run = ("run", "../" + script, "--seed", str(seed))
        expected = reference(home, run, common.environment(FAULTS_TRIALS=TRIALS))
        killing = run + ("--storage", path, "--jobs", "8")
        if pace is None:  # how long it takes here, to kill all over it
            begun = time.monotonic()
            status, _, errors = common.lmopt(*run, "--storage", os.path.join(home, "pace.db"), "--jobs", "8", cwd=home,
                                             env=common.environment(FAULTS_TRIALS=TRIALS, FAULTS_PAUSE="0.03"))
            assert status == 0, errors
            pace = time.monotonic() - begun
            begun = time.monotonic()  # and how much of that is only starting
            common.lmopt(*run, "--storage", os.path.join(home, "pace.db"), "--jobs", "8", cwd=home,
                         env=common.environment(FAULTS_TRIALS=TRIALS, FAULTS_PAUSE="0.03"))
            start = time.monotonic() - begun
            common.same(expected, common.look(os.path.join(home, "pace.db")), "eight at a time")
        done = {}
        mine = 0
        while kills < wanted and mine < MOST_OF_ONE_STUDY:
            env = common.environment(FAULTS_TRIALS=TRIALS, FAULTS_PAUSE="0.03", FAULTS_SEED=chance.randrange(1 << 30))
            process = common.start(*killing, cwd=home, env=env, log=log)
            if not kill_after(process, chance.uniform(0, start + pace / 5)):
                assert process.returncode == 0, common.read(log)
                break
            kills += 1
            mine += 1
            done, running = check_after_kill(path, done, expected)
            in_flight += running
            hits += running > 0
        # The last of it in peace, by other ways of going on.
        status, _, errors = common.lmopt(*run, "--storage", path, "--jobs", chance.choice("1 3 16".split()), cwd=home,
                                         env=common.environment(FAULTS_TRIALS=TRIALS))
        assert status == 0, errors
        common.same(expected, common.look(path), "killed %d times" % mine)
        assert common.beside(path) == [], common.beside(path)
        said = common.read(log)
        assert "lmopt: error" not in said and "locked" not in said and "warning" not in said, said[-2000:]
    assert hits * 4 >= kills, "only %d of %d kills met a running trial" % (hits, kills)
    return "%d kills in %d studies, %d trials in flight" % (kills, studies, in_flight)


def killed_at_random_moments(folder):
    return kill_often(folder, "objective.lua", KILLS)


def killed_with_hard_constraints_and_brackets(folder):
    return kill_often(folder, "space.lua", KILLS_WITH_A_SPACE)


# --- model calls ---


class Model(loopback.Server):
    """Answers each prompt with a number made of it, after a moment, and remembers who asked what."""

    def __init__(self, pause):
        super().__init__(("127.0.0.1", 0), Answer)
        self.pause = pause
        self.lock = threading.Lock()
        self.asked = []  # (run, prompt), run as `self.run` said then
        self.run = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return "http://127.0.0.1:%d/v1" % self.server_address[1]


class Answer(loopback.Handler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][-1]["content"]
        with self.server.lock:
            self.server.asked.append((self.server.run, prompt))
        digest = int(hashlib.sha256(prompt.encode()).hexdigest()[:8], 16)
        if self.server.pause:
            time.sleep(digest % 1000 / 1000 * self.server.pause)
        reply = json.dumps({
            "id": "x", "object": "chat.completion", "created": 0, "model": "test",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "%.3f" % (digest % 997 / 997)}}],
            "usage": {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)


def journal(path):
    """Prompts by the state of their calls, and what the ledger says was spent."""
    prompts = collections.defaultdict(list)
    spent = 0
    with common.copy_of(path) as connection:
        if not connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'lmopt_calls'").fetchone()[0]:
            return prompts, spent
        for state, request in connection.execute(
                "SELECT c.state, q.text FROM lmopt_calls c JOIN lmopt_texts q ON q.hash = c.request"):
            prompts[state].append(json.loads(request)["messages"][-1]["content"])
        row = connection.execute("SELECT spent_calls FROM lmopt_budgets").fetchone()
        return prompts, row[0] if row else 0


def model_reference(folder, env, server):
    """The study that was never killed, and how long it takes eight at a time with replies that take their time."""
    run = ("run", "../model_calls.lua", "--seed", "7")
    expected = reference(folder, run, env)
    assert len(server.asked) == len(set(server.asked)) == 3 * len(expected), "%d calls" % len(server.asked)
    server.pause = 0.04
    begun = time.monotonic()
    status, _, errors = common.lmopt(*run, "--storage", "pace.db", "--jobs", "8", cwd=folder, env=env)
    assert status == 0, errors
    pace = time.monotonic() - begun
    common.same(expected, common.look(os.path.join(folder, "pace.db")), "eight at a time")
    server.asked.clear()
    return expected, pace


def kill_in_calls(home, path, server, env, expected, chance, kills, pace):
    """Kills runs that call a model, and holds the server's book against the study's. The number of kills."""
    run = ("run", "../model_calls.lua", "--seed", "7", "--storage", path, "--jobs", "8")
    done, count, stored = {}, 0, {}
    while count < kills:
        server.run += 1
        process = common.start(*run, cwd=home, env=env, log=os.path.join(home, "log"))
        if not kill_after(process, chance.uniform(0.1, 0.35) * pace):
            break
        count += 1
        done, _ = check_after_kill(path, done, expected)
        if not os.path.exists(path):
            continue
        prompts, spent = journal(path)
        with server.lock:
            asked = list(server.asked)
        assert len(asked) <= spent, "%d requests, but %d calls in the ledger" % (len(asked), spent)
        assert len(prompts["DONE"]) == len(set(prompts["DONE"])), "a reply is stored twice"
        for prompt in prompts["DONE"]:
            stored.setdefault(prompt, server.run)
    check_book(server, stored)
    return count


def check_book(server, stored):
    """No prompt twice in one run, and none again once its reply was stored."""
    with server.lock:
        asked = list(server.asked)
    twice = [entry for entry, times in collections.Counter(asked).items() if times > 1]
    assert not twice, "sent twice in one run: %s" % twice[:3]
    for run, prompt in asked:
        assert prompt not in stored or run <= stored[prompt], "run %d sent again what run %d had stored: %s" % (run, stored[prompt], prompt)


def no_reply_is_paid_for_twice(folder):
    chance = random.Random(99)
    common.copy_script("model_calls.lua", folder)
    kills = again = 0
    for part in range(3):
        home = os.path.join(folder, str(part))
        os.mkdir(home)
        path = os.path.join(home, "s.db")
        server = Model(0)
        env = common.environment(FAULTS_SERVER=server.url)
        expected, pace = model_reference(home, env, server)
        kills += kill_in_calls(home, path, server, env, expected, chance, 8, pace)
        before = len(server.asked)
        stored = set(journal(path)[0]["DONE"])
        server.run += 1
        status, _, errors = common.lmopt("run", "../model_calls.lua", "--seed", "7", "--storage", path, "--jobs", "8", cwd=home, env=env)
        assert status == 0, errors
        common.same(expected, common.look(path), "with model calls")
        late = [prompt for _, prompt in server.asked[before:]]
        assert not stored.intersection(late), "asked again: %s" % stored.intersection(late)
        assert len(set(late)) == len(late)
        prompts, spent = journal(path)
        assert sorted(prompts["DONE"]) == sorted({prompt for _, prompt in server.asked}) and len(prompts["DONE"]) == 180
        assert len(server.asked) <= spent
        again += len(server.asked) - 180
        server.shutdown()
        server.server_close()
    assert kills >= 6, "only %d kills met a run" % kills
    return "%d kills, %d calls in flight were sent again" % (kills, again)


def a_budget_holds_over_kills(folder):
    chance = random.Random(5)
    common.copy_script("model_calls.lua", folder)
    home = os.path.join(folder, "home")
    os.mkdir(home)
    path = os.path.join(home, "s.db")
    server = Model(0)
    expected, pace = model_reference(home, common.environment(FAULTS_SERVER=server.url), server)
    limit = 120
    env = common.environment(FAULTS_SERVER=server.url, FAULTS_CALLS=limit)
    run = ("run", "../model_calls.lua", "--seed", "7", "--storage", path, "--jobs", "8")
    kills = kill_in_calls(home, path, server, env, expected, chance, 3, pace)
    for _ in range(2):  # spent, and spent still
        server.run += 1
        status, _, errors = common.lmopt(*run, cwd=home, env=env)
        assert status == 3, (status, errors)
        assert "budget" in errors and "120" in errors, errors
        assert len(server.asked) <= limit, "%d requests with a budget of %d" % (len(server.asked), limit)
    trials = common.look(path)
    assert {trial["state"] for trial in trials.values()} <= {"COMPLETE", "WAITING"}, "interrupted trials must wait"
    paid = len(server.asked)
    # More money: the rest, as if nothing had happened.
    server.run += 1
    status, _, errors = common.lmopt(*run, cwd=home, env=common.environment(FAULTS_SERVER=server.url, FAULTS_CALLS=1000))
    assert status == 0, (status, errors)
    common.same(expected, common.look(path), "after more budget")
    server.shutdown()
    server.server_close()
    return "%d kills, %d of %d calls sent" % (kills, paid, limit)


TESTS = [killed_at_random_moments, killed_with_hard_constraints_and_brackets, no_reply_is_paid_for_twice, a_budget_holds_over_kills]

if __name__ == "__main__":
    sys.exit(common.run_tests(TESTS))
