"""Runs that record their model calls and are killed, and the recording afterwards: every line of it is whole but perhaps the last, and it
replays the study that came out, with no server there.
"""

import json
import os
import sys
import threading
import time

import common
import loopback

TRIALS, KILLS, JOBS = 60, 4, 8

SCRIPT = """
local lmopt = require "lmopt"
local model = lmopt.lm("openai/letters", { base_url = os.getenv "REPLAY_SERVER", api_key = "sk-never-recorded-0123456789" })
return { name = "killed", trials = %d, seed = 3, lag = 16, objective = function(trial)
  local x = trial:suggest_float("x", 0, 1)
  local kind = trial:suggest_categorical("kind", { "a", "b", "c" })
  local first = model(("trial %%d: %%s"):format(trial.number, ("word "):rep(500)))
  local more = lmopt.map({ 1, 2, 3 }, function() return model { messages = { { role = "user", content = kind } }, cache = false }.text end)
  trial:set_user_attr("texts", { first.text, table.unpack(more) })
  return x + tonumber(first.text:match "%%d+") / 1000
end }
""" % TRIALS


class Server(loopback.Server):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.lock = threading.Lock()
        self.answered = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(loopback.Handler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(0.003)
        with self.server.lock:
            self.server.answered += 1
            number = self.server.answered  # never the same answer twice
        text = "%d %s" % (number, body["messages"][-1]["content"][:10])
        reply = {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                 "usage": {"prompt_tokens": 20, "completion_tokens": 3}}
        data = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def check_lines(path):
    """Every line but the last is JSON; how many calls there are."""
    if not os.path.exists(path):
        return 0
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")
    calls = 0
    for line in lines[:-1]:
        calls += "request" in json.loads(line)
    return calls


def exported(path):
    status, text, errors = common.lmopt("study", "export", path, "--format", "jsonl", cwd=os.path.dirname(path))
    assert status == 0, errors
    trials = [json.loads(line) for line in text.splitlines()]
    for trial in trials:
        trial.pop("datetime_start", None)
        trial.pop("datetime_complete", None)
    return trials


def kills_while_recording(folder):
    server = Server()
    common.write(os.path.join(folder, "script.lua"), SCRIPT)
    path, recording = os.path.join(folder, "study.db"), os.path.join(folder, "calls.jsonl")
    env = common.environment(REPLAY_SERVER="http://127.0.0.1:%d/v1" % server.server_address[1], LMOPT_CACHE="off")
    run = ("run", "script.lua", "--storage", path, "--jobs", str(JOBS), "--record", recording)
    recorded = 0
    for kill in range(KILLS):
        process = common.start(*run, cwd=folder, env=env, log=os.path.join(folder, "log"))
        while process.poll() is None and server.answered < (kill + 1) * 40:
            time.sleep(0.001)
        process.kill()
        process.wait()
        now = check_lines(recording)
        assert now >= recorded, "the recording has lost calls: %d, and %d before" % (now, recorded)
        recorded = now
    status, _, errors = common.lmopt(*run, cwd=folder, env=env)
    assert status == 0, errors
    answered = server.answered
    server.shutdown()
    server.server_close()

    expected = exported(path)
    assert len(expected) == TRIALS
    assert b"sk-never-recorded" not in open(recording, "rb").read()
    for jobs in (1, 32):
        again = os.path.join(folder, "again-%d.db" % jobs)
        status, _, errors = common.lmopt("run", "script.lua", "--storage", again, "--jobs", str(jobs), "--replay", recording, cwd=folder,
                                         env=env)
        assert status == 0, errors
        found = exported(again)
        for a, b in zip(expected, found):
            assert a == b, "%s, and with %d jobs %s" % (a, jobs, b)
    assert server.answered == answered
    return "%d calls recorded, %d answers, %d kills" % (check_lines(recording), answered, KILLS)


if __name__ == "__main__":
    sys.exit(common.run_tests([kills_while_recording]))
