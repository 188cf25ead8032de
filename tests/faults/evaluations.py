"""lmopt.evaluate with a file to resume from: kill -9 and Ctrl-C at random moments lose nothing that is in it.

    BUILD=build evaluations.py [TEST...]
"""

import collections
import json
import os
import random
import signal
import sys
import time

sys.dont_write_bytecode = True
import common

ROWS, AT_A_TIME = 60, 8


def run(folder, pause):
    status, _, errors = common.lmopt("run", "evaluation.lua", "--", str(pause), str(AT_A_TIME), cwd=folder)
    assert status == 0, (status, errors)
    return common.read(os.path.join(folder, "result.json"))


def asked(folder):
    path = os.path.join(folder, "asked")
    return collections.Counter(common.read(path).split()) if os.path.exists(path) else collections.Counter()


def kept(folder):
    """The answers that stand in the file; a last line may be cut."""
    path = os.path.join(folder, "rows.jsonl")
    lines = common.read(path).split("\n")[:-1] if os.path.exists(path) else []
    return [json.loads(line)["prediction"]["answer"] for line in lines[1:]]


def begin(folder, name):
    home = os.path.join(folder, name)
    os.mkdir(home)
    common.copy_script("evaluation.lua", home)
    return home


def ended_again_and_again(folder, ending, chance):
    expected = run(begin(folder, "whole"), 0)
    home, ends = begin(folder, "ended"), 0
    while ends < 12 and len(kept(home)) < ROWS:
        before, rows = asked(home), kept(home)
        process = common.start("run", "evaluation.lua", "--", "0.06", str(AT_A_TIME), cwd=home)
        deadline = time.monotonic() + common.PATIENCE
        wanted = len(rows) + chance.randrange(1, 8)  # ended in the middle, however slow the machine is
        while len(kept(home)) < wanted and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.003)
        process.send_signal(ending)
        status = process.wait(common.PATIENCE)
        ends += 1
        assert status in (0, -signal.SIGKILL if ending == signal.SIGKILL else 130), status
        now = kept(home)
        assert now[:len(rows)] == rows, "what was in the file is not any more"
        again = asked(home) - before
        assert not any(2 * answer == int(question) for answer in rows for question in again), "asked again: %s" % again
        assert len(set(now)) == len(now), now
    assert run(home, 0) == expected
    calls = asked(home)
    assert len(calls) == ROWS and sum(calls.values()) <= ROWS + ends * AT_A_TIME, calls
    return "ended %d times, %d calls for %d rows" % (ends, sum(calls.values()), ROWS)


def killed(folder):
    return ended_again_and_again(folder, signal.SIGKILL, random.Random(1))


def interrupted(folder):
    return ended_again_and_again(folder, signal.SIGINT, random.Random(2))


TESTS = [killed, interrupted]

if __name__ == "__main__":
    sys.exit(common.run_tests(TESTS))
