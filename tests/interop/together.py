"""Two processes at work on one study at the same time: one is lmopt, the other Optuna."""

import collections
import os
import sqlite3
import subprocess
import sys

import common
import optuna
from common import check

EACH = 500
EACH_IN_ROLLBACK = 100  # every commit waits for the disk
MAKE = 'require("lmopt").create_study { name = "beside", storage = (...), seed = 1 }:close()'


def begin(folder, path, each, pause):
    """Starts both, and lets them go when both are ready."""
    env = dict(os.environ, BESIDE_FILE=path, BESIDE_PAUSE=str(pause), BESIDE_TRIALS=str(each))
    ours = common.start([common.LMOPT, "run", "beside.lua", "--quiet"], folder, env=env)
    theirs = common.start([sys.executable, "-B", os.path.join(common.HERE, "beside.py"), path, str(each)], folder)
    for process in (ours, theirs):
        common.expect_ready(process)
    open(path + ".go", "w").close()
    return ours, theirs


def end(process, who):
    try:
        said = process.communicate(timeout=common.PATIENCE)[0].decode("utf-8", "replace")
    except subprocess.TimeoutExpired as problem:
        raise AssertionError("%s hangs" % who) from problem
    assert process.returncode == 0, (who, process.returncode, said[-3000:])
    assert "locked" not in said and "warning" not in said.lower(), (who, said[-3000:])


def side_by_side(folder, path, each, pause):
    """Returns how often the next number was the other's."""
    ours, theirs = begin(folder, path, each, pause)
    end(ours, "lmopt")
    end(theirs, "Optuna")
    common.check_integrity(path)
    study = common.compare(path, "beside")  # both see all, and the same
    trials = study.trials
    common.validate(trials)
    assert [trial.number for trial in trials] == list(range(2 * each)), len(trials)
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    by = [trial.user_attrs["by"] for trial in trials]
    assert collections.Counter(by) == {"lmopt": each, "Optuna": each}
    assert all(len(trial.params) == 9 and trial.intermediate_values == {1: trial.params["x"]} for trial in trials)
    turns = sum(a != b for a, b in zip(by, by[1:]))
    assert turns >= 10, "they did not run at the same time: %s" % by
    return turns


def journal_mode(path):
    connection = sqlite3.connect(path)
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    connection.close()
    return mode


def program(folder):
    with open(os.path.join(folder, "make.lua"), "w") as file:
        file.write(MAKE)
    path = os.path.join(folder, "ours.db")
    common.lmopt("run", "make.lua", "--", path, cwd=folder)
    with check("%d trials each in a file that lmopt made" % EACH) as said:
        turns = side_by_side(folder, path, EACH, 0.03)
        assert journal_mode(path) == "wal"
        said.append("the numbers changed hands %d times" % turns)
    path = os.path.join(folder, "theirs.db")
    optuna.create_study(study_name="beside", storage=common.storage(path))
    with check("%d trials each in a file that Optuna made, with a rollback journal" % EACH_IN_ROLLBACK) as said:
        turns = side_by_side(folder, path, EACH_IN_ROLLBACK, 0.1)
        assert journal_mode(path) == "delete"
        said.append("the numbers changed hands %d times" % turns)


common.main(program)
