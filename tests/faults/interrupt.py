"""Ctrl-C: what is finished is stored, what runs goes back to waiting, and going on gives the study that was never interrupted.

    BUILD=build interrupt.py [TEST...]
"""

import os
import signal
import sys
import time

sys.dont_write_bytecode = True
import common

RUN = ("run", "interrupted.lua", "--seed", "3")


def reference(folder):
    common.copy_script("interrupted.lua", folder)
    status, _, errors = common.lmopt(*RUN, "--storage", "reference.db", "--jobs", "1", cwd=folder)
    assert status == 0, errors
    return common.look(os.path.join(folder, "reference.db"))


def start(folder, place, jobs, *more):
    """A run that has come to the trial that gets stuck."""
    env = common.environment(FAULTS_PLACE=place)
    storage = more or ("--storage", "s.db")
    process = common.start(*RUN, *storage, "--jobs", str(jobs), cwd=folder, env=env, log=os.path.join(folder, "said"))
    deadline = time.monotonic() + common.PATIENCE
    while not os.path.exists(os.path.join(folder, "marker")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None, common.read(os.path.join(folder, "said"))
    time.sleep(0.1)  # into the loop itself
    return process


def goes_on(folder, expected, jobs):
    status, _, errors = common.lmopt(*RUN, "--storage", "s.db", "--jobs", str(jobs), cwd=folder)
    assert status == 0, errors
    common.same(expected, common.look(os.path.join(folder, "s.db")), "after an interrupt")


def interrupted_once(folder, place, jobs):
    expected = reference(folder)
    process = start(folder, place, jobs)
    process.send_signal(signal.SIGINT)
    status = process.wait(common.PATIENCE)
    said = common.read(os.path.join(folder, "said"))
    assert status == 130, (status, said)
    assert "interrupted" in said and "Traceback" not in said and "traceback" not in said, said
    trials = common.look(os.path.join(folder, "s.db"))
    done = common.finished(trials)
    assert len(done) >= 5, "%d trials are finished" % len(done)
    open_ones = {number: trial["state"] for number, trial in trials.items() if number not in done}
    assert open_ones and set(open_ones.values()) == {"WAITING"}, open_ones
    assert not any(number >= 20 for number in done), "a stuck trial counts as finished: %s" % sorted(done)
    common.same({n: expected[n] for n in done}, done, "interrupted")
    assert common.beside(os.path.join(folder, "s.db")) == []
    goes_on(folder, expected, jobs)
    return "%d finished, %d went back to waiting" % (len(done), len(open_ones))


def eight_that_sleep(folder):
    said = interrupted_once(folder, "sleep", 8)
    assert said.endswith(" 8 went back to waiting"), said
    return said


def one_that_computes(folder):
    return interrupted_once(folder, "loop", 1)


def one_that_computes_among_eight(folder):
    return interrupted_once(folder, "loop", 8)


def one_that_swallows_errors(folder):
    return interrupted_once(folder, "swallow", 1)


def interrupted_twice(folder, place, jobs):
    """The second signal ends the process at once; the file is as after any other sudden death."""
    expected = reference(folder)
    process = start(folder, place, jobs)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    status = process.wait(common.PATIENCE)
    assert status in (130, -signal.SIGINT), (status, common.read(os.path.join(folder, "said")))
    trials = common.look(os.path.join(folder, "s.db"))
    done = common.finished(trials)
    assert len(done) >= 5 and not any(number >= 20 for number in done), sorted(done)
    goes_on(folder, expected, jobs)
    return "exit status %d" % status


def twice_in_a_call_of_c(folder):
    return interrupted_twice(folder, "match", 1)


def twice_in_a_loop_that_swallows_errors(folder):
    return interrupted_twice(folder, "swallow", 1)


def twice_in_a_loop_that_waits_again(folder):
    return interrupted_twice(folder, "deaf", 4)


def without_a_storage(folder):
    reference(folder)
    process = start(folder, "sleep", 8, "--quiet")
    process.send_signal(signal.SIGINT)
    assert process.wait(common.PATIENCE) == 130
    assert "interrupted" in common.read(os.path.join(folder, "said"))


TESTS = [
    eight_that_sleep, one_that_computes, one_that_computes_among_eight, one_that_swallows_errors, twice_in_a_call_of_c,
    twice_in_a_loop_that_swallows_errors, twice_in_a_loop_that_waits_again, without_a_storage,
]

if __name__ == "__main__":
    sys.exit(common.run_tests(TESTS))
