"""Optimizers that are killed or interrupted again and again: the finished run is the one an undisturbed run gives, and what had been
answered is not sent again.

    BUILD=build optimizers.py [TEST...]        FAULTS_KILLS=50: how often each is killed, in as many runs as that takes
"""

import json
import os
import random
import re
import signal
import sys
import time

sys.dont_write_bytecode = True
import common
import model_server

KILLS = int(os.environ.get("FAULTS_KILLS", "5"))
JOBS, CONCURRENCY = 2, 3  # calls in flight: six for scoring,
IN_FLIGHT = 12  # and some for teachers and proposals, or on their way
PAUSE = 0.01  # seconds a reply takes at most, when somebody kills


def digest(text):
    value = 5381
    for byte in text.encode():
        value = (value * 33 + byte) % (1 << 32)
    return (value * 2654435761 % (1 << 32)) / (1 << 32)


def reply_to(body):
    """A model that follows instructions ("skill 7": seven questions of ten) and demonstrations (one question of ten more for each)."""
    messages = json.loads(body)["messages"]
    text = "\n".join(message["content"] for message in messages)
    if "<INS>" in text:  # asked for an instruction
        return "<INS>skill %d, for all that begins with %d</INS>" % (digest(text) * 10, digest(text + "?") * 1000)
    skill = int((re.findall(r"skill (\d+)", text) or ["3"])[-1]) + sum(message["role"] == "assistant" for message in messages)
    asked = re.findall(r"x(\d+)", messages[-1]["content"])
    if not asked:
        return "word%d" % (digest(text) * 1000)
    return "y" + asked[-1] if digest("q" + asked[-1]) * 10 < skill else "no idea"


class Model(model_server.Server):
    pause = 0.0

    def __init__(self):
        super().__init__(self.respond)

    def respond(self, asked):
        if asked.path.endswith("/embeddings"):
            texts = json.loads(asked.body)["input"]
            return {"body": {"model": "m", "usage": {"prompt_tokens": len(texts), "total_tokens": len(texts)}, "data": [
                {"index": place, "embedding": [digest("%d %s" % (i, text)) for i in range(4)]} for place, text in enumerate(texts)]},
                "delay": digest(asked.prompt) * self.pause}
        text = reply_to(asked.body)
        return {"body": model_server.good("[[ ## answer ## ]]\n%s\n\n[[ ## completed ## ]]" % text),
                "delay": digest(asked.prompt) * self.pause}


def run(home, optimizer, server, jobs=1, concurrency=1):
    return {"cwd": home, "env": common.environment(
        FAULTS_OPTIMIZER=optimizer, FAULTS_SERVER=server.url, FAULTS_STORAGE="run.db", FAULTS_SAVE="best.json", FAULTS_JOBS=jobs,
        FAULTS_CONCURRENCY=concurrency)}


def book(path):
    """How many calls were answered and stored, and of how many nobody knows."""
    with common.copy_of(path) as connection:
        states = dict(connection.execute("SELECT state, count(*) FROM lmopt_calls WHERE calls > 0 OR state = 'RESERVED' GROUP BY state"))
        return states.get("DONE", 0), states.get("RESERVED", 0)


def finish(home, optimizer, server, **how):
    status, output, errors = common.lmopt("run", "../optimizers.lua", **run(home, optimizer, server, **how))
    assert status == 0, (status, output, errors)
    return output, common.look(os.path.join(home, "run.db"), "run"), common.read(os.path.join(home, "best.json"))


def stopped_once(home, optimizer, server, wanted, how):
    """Kills or interrupts a run when the server has been asked so often; False when it was over before."""
    process = common.start("run", "../optimizers.lua", log=os.path.join(home, "log"),
                           **run(home, optimizer, server, JOBS, CONCURRENCY))
    deadline = time.monotonic() + common.PATIENCE
    while server.requests() < wanted and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(how)
    process.wait(common.PATIENCE)
    if how == signal.SIGINT and process.returncode != 0:
        text = common.read(os.path.join(home, "log"))
        assert process.returncode == 130 and ": interrupted\n" in text, (process.returncode, text)
        return True
    return process.returncode == -how


def disturbed_run(home, optimizer, expected, calls, chance, how):
    """One run that is stopped as `how` says, list of signals, and then finished; how many of those met it, and the calls sent twice."""
    os.mkdir(home)
    stops = 0
    with Model() as server:
        server.pause = PAUSE
        for one in how:
            left = max(1, calls - server.requests())
            if not stopped_once(home, optimizer, server, server.requests() + chance.randrange(1, 2 + left // 3), one):
                break
            stops += 1
            unknown = book(os.path.join(home, "run.db"))[1]
            assert unknown <= stops * IN_FLIGHT, "%s: %d calls are open after %d stops" % (optimizer, unknown, stops)
        server.pause = 0.0
        output, study, best = finish(home, optimizer, server, jobs=JOBS, concurrency=CONCURRENCY)
        common.same(expected[1], study, "%s, stopped %d times" % (optimizer, stops))
        assert output == expected[0], "%r, not %r" % (output, expected[0])
        assert best == expected[2], "%s: the best program is another: %s" % (optimizer, best)
        done, unknown = book(os.path.join(home, "run.db"))
        assert done == calls, "%d replies are stored, and an undisturbed run has %d" % (done, calls)
        if signal.SIGINT in how:
            unknown = stops * IN_FLIGHT  # an interrupted run closes its book over what was in flight
        assert server.requests() <= calls + unknown, "%d requests; %d are enough, and %d were in flight at the stops" % (
            server.requests(), calls, unknown)
        return stops, server.requests() - calls


def check(folder, optimizer, chance, how, wanted):
    home = os.path.join(folder, optimizer)
    os.mkdir(home)
    with Model() as server:
        expected = finish(home, optimizer, server)
        calls = server.requests()
        again = finish(home, optimizer, server)
        assert again[0] == expected[0] and server.requests() == calls, "a finished run asked %d times" % (server.requests() - calls)
    stops, twice, runs = 0, 0, 0
    while stops < wanted and runs < wanted:
        runs += 1
        met, repeated = disturbed_run("%s-%d" % (home, runs), optimizer, expected, calls, chance, [how] * min(wanted - stops, 5))
        stops, twice = stops + met, twice + repeated
    assert stops >= wanted, "only %d of %d stops met a run" % (stops, wanted)
    return "%s %d in %d runs, %d of %d calls twice" % (optimizer, stops, runs, twice, runs * calls)


def come_to_the_same(folder, how, wanted):
    chance = random.Random(777)
    common.copy_script("optimizers.lua", folder)
    status, names, errors = common.lmopt("run", "optimizers.lua", cwd=folder)
    assert status == 0, errors
    return "; ".join(check(folder, name, chance, how, wanted) for name in names.split())


def killed_optimizers_come_to_the_same(folder):
    return come_to_the_same(folder, signal.SIGKILL, KILLS)


def interrupted_optimizers_come_to_the_same(folder):
    return come_to_the_same(folder, signal.SIGINT, 2)


TESTS = [killed_optimizers_come_to_the_same, interrupted_optimizers_come_to_the_same]

if __name__ == "__main__":
    sys.exit(common.run_tests(TESTS))
