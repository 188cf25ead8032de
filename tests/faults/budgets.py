"""Budgets, as a server sees them: it counts its calls, its tokens and its dollars itself, and no limit is ever exceeded.

Latencies are random, some answers are faults, and what the server did without the reply getting through counts as well. A run that is
killed, or begun again, goes on with what is left; four processes on one study share its budget.
"""

import collections
import concurrent.futures
import hashlib
import json
import os
import signal
import socket
import sqlite3
import struct
import sys
import threading
import time

import common
import loopback

REFUSALS = (429, 503)  # no work was done for these
FAULTS = (429, 500, "reset", "cut", 503, "late cut")
PRICE = {"prompt": 100e-6, "completion": 400e-6}  # dollars a token, as in budgets.lua


class Server(loopback.Server):
    def __init__(self, seed, latency=0.003, one_in=6):
        super().__init__(("127.0.0.1", 0), Answer)
        self.lock = threading.Lock()
        self.seed, self.latency, self.one_in = seed, latency, one_in  # one answer in so many is a fault; 0: none
        self.asked = collections.Counter()  # by prompt
        self.work = {"": collections.Counter()}  # by model; "": all
        self.by_trial = {}
        self.flying = self.faults = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return "http://127.0.0.1:%d/v1" % self.server_address[1]

    def count(self, model, trial, prompt, completion):
        usd = prompt * PRICE["prompt"] + completion * PRICE["completion"]
        for work in (self.work[""], self.work.setdefault(model, collections.Counter()),
                     self.by_trial.setdefault(trial, collections.Counter())):
            work["calls"] += 1
            work["prompt_tokens"] += prompt
            work["completion_tokens"] += completion
            work["tokens"] += prompt + completion
            work["usd"] += usd

    def settle(self):
        """Waits until nothing is being answered any more."""
        deadline = time.monotonic() + common.PATIENCE
        while self.flying:
            assert time.monotonic() < deadline, "%d answers are still under way" % self.flying
            time.sleep(0.005)

    def close(self):
        self.shutdown()
        self.server_close()


class Answer(loopback.Handler):
    def do_POST(self):
        server = self.server
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = request["messages"][-1]["content"]
        with server.lock:
            server.flying += 1
            server.asked[text] += 1
            draw = int(hashlib.sha256(f"{server.seed} {text} {server.asked[text]}".encode()).hexdigest()[:12], 16)
            fault = FAULTS[draw // 64 % len(FAULTS)] if server.one_in and draw % server.one_in == 0 else None
            server.faults += fault is not None
            # A token for every three bytes of text, and as many of reply as the draw says: all that was allowed, at times.
            prompt = len(text) // 3 + 1
            completion = request["max_tokens"] if draw % 5 == 1 else draw // 64 % request["max_tokens"] + 1
            if fault not in REFUSALS:
                done = fault != 500
                server.count(request["model"], text.split(",")[0], prompt if done else 0, completion if done else 0)
        try:
            time.sleep(server.latency * (0.2 + draw % 1000 / 300))
            self.answer(fault, prompt, completion)
        finally:
            with server.lock:
                server.flying -= 1

    def answer(self, fault, prompt, completion):
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        reply = {"choices": [{"message": {"role": "assistant", "content": "ok " * completion}, "finish_reason": "stop"}],
                 "usage": {"prompt_tokens": prompt, "completion_tokens": completion,
                           "prompt_tokens_details": {"cached_tokens": prompt // 2},
                           "completion_tokens_details": {"reasoning_tokens": completion // 3}}}
        status = fault if isinstance(fault, int) else 200
        body = json.dumps(reply if status == 200 else {"error": {"message": "no luck"}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status in REFUSALS:
            self.send_header("retry-after-ms", "10")
        self.end_headers()
        self.wfile.write(body[:20] if fault == "cut" else body[:-1] if fault == "late cut" else body)
        self.close_connection = fault in ("cut", "late cut")


def lua(limits):
    """A table as Lua reads it."""
    parts = ["[%s] = %s" % (json.dumps(name), lua(value) if isinstance(value, dict) else repr(value)) for name, value in limits.items()]
    return "{ %s }" % ", ".join(parts)


def environment(server, limits=None, trial=None, trials=40):
    return common.environment(BUDGET_SERVER=server.url, BUDGET_LIMITS=lua(limits) if limits else None,
                              BUDGET_TRIAL=lua(trial) if trial else None, BUDGET_TRIALS=trials, LMOPT_CACHE="off")


def check_within(server, limits, what):
    server.settle()
    for name, limit in limits.items():
        if name == "models":
            for model, own in limit.items():
                for part, most in own.items():
                    seen = server.work.get(model.split("/")[1], {}).get(part, 0)
                    assert seen <= most * (1 + 1e-9), "%s: the server saw %s %s of %s, the limit is %s" % (what, seen, part, model, most)
        elif name != "seconds":
            seen = server.work[""][name]
            assert seen <= limit * (1 + 1e-9), "%s: the server saw %s %s, the limit is %s" % (what, seen, name, limit)


def ledger(path):
    """What the file says is spent, by model."""
    with common.copy_of(path) as connection:
        connection.row_factory = sqlite3.Row
        return {row["model"]: dict(row) for row in connection.execute("SELECT * FROM lmopt_budgets")}


def check_ledger(server, path, what, ended=True):
    """The ledger has at least what the server did. A run that was cut short may have read no reply yet, however many were sent."""
    rows = ledger(path)
    for model, work in server.work.items():
        row = rows["openai/" + model if model else ""]
        for name in ("calls", "prompt_tokens", "completion_tokens", "usd"):
            assert row["spent_" + name] >= work[name] * (1 - 1e-9), "%s: %s of '%s': the server did %s, the ledger has %s" % (
                what, name, model, work[name], row["spent_" + name])
    parts = rows[""]
    for part, whole in (("cached", "prompt"), ("reasoning", "completion")):
        spent = parts["spent_%s_tokens" % part]
        assert spent <= parts["spent_%s_tokens" % whole] and (spent > 0 or not ended), (what, part, spent)
    return rows


def begin(folder):
    common.copy_script("budgets.lua", folder)
    return os.path.join(folder, "budgets.db")


LIMITS = (
    {"calls": 50},
    {"tokens": 4000},
    {"prompt_tokens": 3000},
    {"completion_tokens": 700},
    {"usd": 0.6},
    {"calls": 70, "usd": 0.8, "tokens": 5000},
    {"models": {"openai/large": {"calls": 9}}},
    {"calls": 200, "models": {"openai/large": {"usd": 0.15}, "openai/small": {"tokens": 3000}}},
)


def exhaust(folder, number, limits, jobs):
    """Spends a budget; the same command again gets nothing more. Returns how many calls it paid."""
    what = "%s, %d jobs" % (limits, jobs)
    server = Server(number * 100 + jobs, one_in=20 if jobs == 1 else 6)  # waits add up with one job
    path = os.path.join(folder, "%d-%d.db" % (number, jobs))
    run = ("run", "budgets.lua", "--seed", "7", "--storage", path, "--jobs", str(jobs), "--quiet")
    env = environment(server, limits)
    status, _, errors = common.lmopt(*run, cwd=folder, env=env)
    assert status == 3 and "budget" in errors, (what, status, errors)
    check_within(server, limits, what)
    check_ledger(server, path, what)
    seen = server.work[""]["calls"]
    assert seen >= 5, "%s: only %d calls were made" % (what, seen)
    status, _, errors = common.lmopt(*run, cwd=folder, env=env)
    assert status == 3, (what, status, errors)
    check_within(server, limits, what + ", again")
    states = {trial["state"] for trial in common.look(path).values()}
    assert states <= {"COMPLETE", "WAITING"}, states
    server.close()
    return seen


def no_limit_is_exceeded(folder):
    """Each limit at 1, 8 and 64 jobs."""
    begin(folder)
    cases = [(number, limits, jobs) for number, limits in enumerate(LIMITS) for jobs in ((1, 8, 64) if len(limits) == 1 else (8,))]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:  # they wait, for the most part
        used = list(pool.map(lambda case: exhaust(folder, *case), cases))
    return "%d runs, %d to %d calls each" % (2 * len(used), min(used), max(used))


def a_run_and_a_model_have_budgets_without_a_study(folder):
    common.copy_script("budgets_own.lua", folder)

    def spend(case):
        number, limits, jobs, of_model = case
        server = Server(number * 100 + jobs + 50, one_in=20 if jobs == 1 else 6)
        flag = ",".join("%s=%s" % one for one in limits.items())
        env = common.environment(BUDGET_SERVER=server.url, BUDGET_JOBS=jobs, BUDGET_HANDLE=lua(limits) if of_model else None,
                                 LMOPT_CACHE="off")
        status, output, errors = common.lmopt("run", "budgets_own.lua", "--quiet", *([] if of_model else ["--budget", flag]),
                                              cwd=folder, env=env)
        assert status == 0 and int(output.split()[0]) > 0, (case, status, output, errors)
        check_within(server, limits, str(case))
        assert server.work[""]["calls"] >= 5, case
        server.close()
        return server.work[""]["calls"]

    limits_of_runs = ({"calls": 50}, {"tokens": 2500}, {"prompt_tokens": 1200}, {"completion_tokens": 700}, {"usd": 0.5},
                      {"calls": 60, "usd": 0.6})
    cases = [(number, limits, jobs, (number + jobs) % 2 == 0)
             for number, limits in enumerate(limits_of_runs) for jobs in (1, 8, 64)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        used = list(pool.map(spend, cases))
    return "%d runs, %d to %d calls each" % (len(used), min(used), max(used))


def a_killed_run_goes_on_with_what_is_left(folder):
    path = begin(folder)
    limits = {"calls": 90, "usd": 1.4, "completion_tokens": 1500}
    server = Server(5)
    env = environment(server, limits)
    run = ("run", "budgets.lua", "--seed", "7", "--storage", path, "--jobs", "8", "--quiet")
    for kill in range(3):
        process = common.start(*run, cwd=folder, env=env, log=os.path.join(folder, "log"))
        while process.poll() is None and server.work[""]["calls"] < (kill + 1) * 15:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        check_within(server, limits, "after kill %d" % kill)
        check_ledger(server, path, "after kill %d" % kill, ended=False)
    status, _, errors = common.lmopt(*run, cwd=folder, env=env)
    assert status == 3 and "budget" in errors, (status, errors)
    check_within(server, limits, "at the end")
    rows = check_ledger(server, path, "at the end")
    assert rows[""]["spent_calls"] <= 90
    before = server.work[""]["calls"]
    assert before > 45, before
    # More money, and the rest is done.
    env = environment(server, {"calls": 100000})
    status, output, errors = common.lmopt(*run, cwd=folder, env=env)
    assert status == 0, (status, errors)
    assert "40 complete" in output and "of 100000 calls" in output, output
    check_ledger(server, path, "with more")
    server.close()
    return "3 kills, %d of 90 calls, %d in the end" % (before, server.work[""]["calls"])


def four_processes_share_a_budget(folder):
    path = begin(folder)
    limits = {"calls": 100, "usd": 1.5, "models": {"openai/large": {"calls": 30}}}
    server = Server(11)
    env = environment(server, limits, trials=200)
    run = ("run", "budgets.lua", "--seed", "7", "--storage", path, "--jobs", "8", "--quiet")
    status, _, errors = common.lmopt(*run, cwd=folder, env=environment(server, {"calls": 0}, trials=200))
    assert status == 3, (status, errors)  # the file is there, and nothing was spent
    assert server.work[""]["calls"] == 0
    processes = [common.start(*run, cwd=folder, env=env, log=os.path.join(folder, "log%d" % i)) for i in range(4)]
    for i, process in enumerate(processes):
        assert process.wait(common.PATIENCE) == 3, common.read(os.path.join(folder, "log%d" % i))
    check_within(server, limits, "four processes")
    rows = check_ledger(server, path, "four processes")
    common.look(path)
    server.close()
    assert server.work[""]["calls"] >= 30
    return "%d calls, %d of them in the ledger of one model" % (server.work[""]["calls"], rows["openai/large"]["spent_calls"])


def a_trial_has_a_budget_of_its_own(folder):
    begin(folder)
    told = []
    for number, limits in enumerate(({"calls": 4}, {"tokens": 350}, {"usd": 0.06})):
        for jobs in (1, 8):
            server = Server(number * 10 + jobs + 500)
            path = os.path.join(folder, "%d-%d.db" % (number, jobs))
            env = environment(server, trial=limits, trials=16)
            status, output, errors = common.lmopt("run", "budgets.lua", "--seed", "7", "--storage", path, "--jobs", str(jobs),
                                                  cwd=folder, env=env)
            server.settle()
            name, limit = list(limits.items())[0]
            for trial, work in server.by_trial.items():
                assert work[name] <= limit * (1 + 1e-9), "%s: %s %s" % (trial, work[name], name)
            states = collections.Counter(trial["state"] for trial in common.look(path).values())
            assert set(states) == {"COMPLETE", "PRUNED"} and sum(states.values()) == 16, states
            assert status == 0, (status, errors)
            assert "was pruned: the trial's budget is spent" in errors, errors
            told.append(states["PRUNED"])
            server.close()
    return "%s of 16 trials were pruned" % ", ".join(str(count) for count in told)


def time_ends_a_run_with_its_calls(folder):
    path = begin(folder)
    server = Server(3, latency=0.3)
    limits = {"seconds": 1.0}
    env = environment(server, limits, trials=500)
    run = ("run", "budgets.lua", "--seed", "7", "--storage", path, "--jobs", "8", "--quiet")
    for _ in range(2):
        status, _, errors = common.lmopt(*run, cwd=folder, env=env)
        assert status == 3 and "seconds are over" in errors, (status, errors)
        server.settle()
        rows = check_ledger(server, path, "out of time", ended=False)
        assert rows[""]["spent_seconds"] <= 1, rows[""]["spent_seconds"]
    with common.copy_of(path) as connection:
        open_calls = connection.execute("SELECT count(*) FROM lmopt_calls WHERE state = 'RESERVED'").fetchone()[0]
    assert open_calls > 0, "calls that were cut off must stay at their reserve"
    server.close()
    return "%d calls were cut off" % open_calls


def a_dry_run_sends_nothing(folder):
    path = begin(folder)
    server = Server(1)
    status, output, errors = common.lmopt("run", "budgets.lua", "--dry-run", "--storage", path, cwd=folder,
                                          env=environment(server, {"calls": 1, "usd": 0.001}))
    assert status == 0 and "an estimate" in output and "openai/large" in output, (status, output, errors)
    assert server.work[""]["calls"] == 0 and sum(server.asked.values()) == 0
    assert sorted(os.listdir(folder)) == ["budgets.lua"], os.listdir(folder)
    server.close()
    # What it says is what then happens, within its range, when nothing fails.
    server = Server(1, one_in=0)
    env = environment(server)
    status, output, errors = common.lmopt("run", "budgets.lua", "--dry-run", "--json", cwd=folder, env=env)
    assert status == 0, errors
    estimate = json.loads(output)
    status, _, errors = common.lmopt("run", "budgets.lua", "--jobs", "8", "--quiet", cwd=folder, env=env)
    assert status == 0, errors
    seen = server.work[""]
    assert estimate["calls"] == seen["calls"] == 160, (estimate["calls"], seen["calls"])
    for name in ("prompt_tokens", "completion_tokens", "usd"):
        assert estimate[name]["least"] <= seen[name] <= estimate[name]["most"], (name, estimate[name], seen[name])
    server.close()
    return "$%.2f, estimated $%.2f to $%.2f" % (seen["usd"], estimate["usd"]["least"], estimate["usd"]["most"])


TESTS = [no_limit_is_exceeded, a_run_and_a_model_have_budgets_without_a_study, a_killed_run_goes_on_with_what_is_left,
         four_processes_share_a_budget, a_trial_has_a_budget_of_its_own, time_ends_a_run_with_its_calls, a_dry_run_sends_nothing]

if __name__ == "__main__":
    sys.exit(common.run_tests(TESTS))
