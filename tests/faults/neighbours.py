"""Several processes on one file, started together: nobody waits for nothing, takes another's trial, or leaves a gap.

    BUILD=build neighbours.py [TEST...]
"""

import contextlib
import json
import os
import signal
import sqlite3
import sys
import time

sys.dont_write_bytecode = True
import common

EACH = 200 if common.SANITIZED else 1000
QUEUED = 50


def begin(folder, count, **settings):
    """Starts `count` workers together; each says and notes things in files of its own."""
    workers = []
    for index in range(count):
        env = common.environment(FAULTS_LOG="began%d" % index, **settings)
        workers.append(common.start("run", "worker.lua", "--storage", "s.db", "--seed", "5", cwd=folder, env=env,
                                    log=os.path.join(folder, "said%d" % index)))
    return workers


def end(folder, workers):
    """Waits for all; none may have failed or complained."""
    for index, worker in enumerate(workers):
        status = worker.wait(common.PATIENCE)
        said = common.read(os.path.join(folder, "said%d" % index))
        assert status == 0, (index, status, said[-2000:])
        for word in ("locked", "in use", "warning", "failed:"):
            assert word not in said, said[-2000:]


def began(folder, index):
    """The trials that a worker began: (number, which queued one or None), in its order."""
    path = os.path.join(folder, "began%d" % index)
    lines = common.read(path).split("\n")[:-1] if os.path.exists(path) else []
    return [(int(number), None if queued == "-" else int(queued)) for number, queued in (line.split() for line in lines)]


def prepare(folder, queued):
    for name in ("worker.lua", "queue.lua"):
        common.copy_script(name, folder)
    if queued:
        status, _, errors = common.lmopt("run", "queue.lua", "--", "s.db", str(queued), cwd=folder)
        assert status == 0, errors


def check_shared(folder, count, total, queued):
    """Every number once, by one worker, which is the one that stored it."""
    trials = common.look(os.path.join(folder, "s.db"))
    assert len(trials) == total, "%d trials, not %d" % (len(trials), total)
    assert {trial["state"] for trial in trials.values()} == {"COMPLETE"}
    owners = {}
    taken = []
    for index in range(count):
        for number, point in began(folder, index):
            assert number not in owners, "trial %d was begun by %s and by %d" % (number, owners[number], index)
            owners[number] = index
            if point is not None:
                taken.append(point)
                assert trials[number]["values"][0][0] == point / 100, "queued trial %d: %s" % (point, trials[number])
    assert sorted(owners) == list(range(total))
    assert sorted(taken) == list(range(1, queued + 1)), "queued ones taken: %s" % sorted(taken)
    for number, trial in trials.items():
        assert json.loads(trial["user"]["process"][0]) == "began%d" % owners[number], (number, trial["user"])
    return trials


def four_processes_with_a_thousand_trials_each(folder):
    prepare(folder, QUEUED)
    workers = begin(folder, 4, FAULTS_OWN=EACH)
    end(folder, workers)
    check_shared(folder, 4, 4 * EACH, QUEUED)
    assert common.beside(os.path.join(folder, "s.db")) == []
    return "%d trials" % (4 * EACH)


def four_processes_make_the_study_together(folder):
    for attempt in range(5):  # the first moment is the narrow one
        home = os.path.join(folder, str(attempt))
        os.mkdir(home)
        prepare(home, 0)
        workers = begin(home, 4, FAULTS_OWN=25, FAULTS_SAMPLER="tpe", FAULTS_JOBS=1 + attempt % 2 * 3)
        end(home, workers)
        check_shared(home, 4, 100, 0)


def one_of_four_is_killed(folder):
    """The living go on undisturbed and finish what the dead one had begun."""
    prepare(folder, 20)
    total = 400
    workers = begin(folder, 4, FAULTS_TOTAL=total, FAULTS_JOBS=8, FAULTS_PAUSE="0.03")
    path = os.path.join(folder, "s.db")
    deadline = time.monotonic() + common.PATIENCE
    while len(began(folder, 0)) < 30 and time.monotonic() < deadline:
        time.sleep(0.01)
    victim = workers.pop(0)
    victim.send_signal(signal.SIGKILL)
    victim.wait(common.PATIENCE)
    for index, worker in enumerate(workers, 1):
        assert worker.wait(common.PATIENCE) == 0, common.read(os.path.join(folder, "said%d" % index))[-2000:]
        said = common.read(os.path.join(folder, "said%d" % index))
        assert "locked" not in said and "taken over" not in said and "warning" not in said, said[-2000:]
    trials = common.look(path)
    assert len(trials) == total, len(trials)
    assert {trial["state"] for trial in trials.values()} == {"COMPLETE"}, \
        [(n, t["state"]) for n, t in trials.items() if t["state"] != "COMPLETE"]
    of_dead = {number for number, _ in began(folder, 0)}
    living = [number for index in (1, 2, 3) for number, _ in began(folder, index)]
    assert len(living) == len(set(living)), "the living ran a trial twice"
    again = of_dead.intersection(living)
    assert of_dead.union(living) == set(range(total))
    for number, trial in trials.items():
        runner = json.loads(trial["user"]["process"][0])
        assert (runner == "began0") == (number in of_dead and number not in again), (number, runner)
    assert 1 <= len(again) <= 8, "%d of the dead one's trials ran again" % len(again)
    return "%d trials of the dead one were finished by others" % len(again)


def a_journal_that_comes_and_goes_is_a_living_one(folder):
    """Two commits of the living, looked at from between, pass for one of the dead: no reader may take them for it."""
    prepare(folder, 1)
    common.copy_script("reader.lua", folder)
    path, stop, journal = (os.path.join(folder, name) for name in ("s.db", "stop", "journal"))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    with open(journal, "wb") as file:
        file.write(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7".ljust(512, b"\0"))
    reader = common.start("run", "reader.lua", "--", path, stop, cwd=folder, log=os.path.join(folder, "said0"))
    for _ in range(3000):
        os.link(journal, path + "-journal")
        os.unlink(path + "-journal")
        time.sleep(0.0002)
    common.write(stop, "")
    end(folder, [reader])
    return common.read(os.path.join(folder, "said0")).strip()


TESTS = [four_processes_with_a_thousand_trials_each, four_processes_make_the_study_together, one_of_four_is_killed,
         a_journal_that_comes_and_goes_is_a_living_one]

if __name__ == "__main__":
    sys.exit(common.run_tests(TESTS))
