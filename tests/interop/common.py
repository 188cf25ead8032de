"""What the programs of this folder share. They run in a virtual environment that has Optuna, and run $BUILD/lmopt as its users do.

Each prints TAP: a line "ok" or "not ok" for every check.
"""

import datetime
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
import warnings

import tap

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
LMOPT = os.path.join(BUILD, "lmopt")
PATIENCE = 200  # seconds until a process that hangs is a failure

# Nine hours east of UTC, so that a confusion of local time and UTC shows.
os.environ["TZ"] = "JST-9"
time.tzset()

import optuna
import sqlalchemy

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


@sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, "connect")
def never_wait_for_the_disk(connection, _):
    """Optuna commits a dozen times in a trial; this process is never killed in the middle, so nobody needs its fsyncs."""
    connection.execute("PRAGMA synchronous = OFF")


VERSION = optuna.__version__
FIVE = int(VERSION.split(".")[0]) >= 5

STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "waiting"}


def check(name):
    """One check, as in tap.py."""
    return tap.check("Optuna %s: %s" % (VERSION, name))


def main(program):
    """Runs program(folder) in a folder that has the scripts of this one and is gone afterwards; exits."""
    with tempfile.TemporaryDirectory(prefix="lmopt-interop-", ignore_cleanup_errors=True) as folder:
        for name in os.listdir(HERE):
            if name.endswith(".lua"):
                shutil.copy(os.path.join(HERE, name), folder)
        try:
            with check("ran to its end"):
                program(folder)
        finally:
            end_started()
    tap.finish()


# --- processes ---

started = []


def lmopt(*arguments, cwd):
    """Runs lmopt to its end; it must succeed. Standard output and standard error."""
    done = subprocess.run([LMOPT, *arguments], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
    said, errors = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 0, (arguments, done.returncode, said[-2000:], errors[-2000:])
    return said, errors


def start(command, cwd, **more):
    """Starts a process that is killed when it is still there after a while: so nobody who waits for it waits for ever."""
    process = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    started.append(process)
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.daemon = True
    watchdog.start()
    return process


def expect_ready(process):
    """Reads until the process says that it is ready; warnings come before it."""
    said = [process.stdout.readline()]
    while said[-1] not in (b"", b"ready\n"):
        said.append(process.stdout.readline())
    assert said[-1], b"".join(said)


def end_started():
    """Nothing outlives its program."""
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()
    started.clear()


def write_file(folder, keep_running=False):
    """Has write.lua make a file. With keep_running its process lives on, inside a trial: path, process."""
    path = os.path.join(folder, "study.db")
    if not keep_running:
        open(path + ".go", "w").close()
    process = start([LMOPT, "run", "write.lua", "--", path], folder)
    expect_ready(process)
    if not keep_running:
        rest = process.stdout.read()
        assert process.wait(PATIENCE) == 0, rest
    return path, process


# --- looking at a file ---


def storage(path):
    return "sqlite:///" + path


def load(path, name, **more):
    return optuna.load_study(study_name=name, storage=storage(path), **more)


def snapshot(path):
    """What lmopt reads: name -> study."""
    said, _ = lmopt("run", "snapshot.lua", "--", path, cwd=HERE)
    return {study["name"]: study for study in json.loads(said)}


def export(path, name):
    """What `lmopt study export` says of a study."""
    out = path + ".export.json"
    lmopt("study", "export", path, name, "-o", out, cwd=HERE)
    with open(out, encoding="utf-8") as file:
        return json.load(file)


def numbers(trials):
    return sorted(trial.number for trial in trials)


def check_integrity(path):
    """As the sqlite3 module sees the file: whole, and each number of each study once, without gaps."""
    connection = sqlite3.connect(path, timeout=30)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        for (study,) in connection.execute("SELECT study_id FROM studies").fetchall():
            found = [row[0] for row in connection.execute("SELECT number FROM trials WHERE study_id = ? ORDER BY trial_id", (study,))]
            assert found == list(range(len(found))), found
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [("v3.2.0.a",)]
    finally:
        connection.close()


def validate(trials):
    """Optuna's own rules for a trial."""
    for trial in trials:
        trial._validate()


# --- comparing ---


def plain(value):
    """JSON has no infinities."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return value


def as_lua_reads(value):
    """lmopt's JSON reader can't tell an empty list from an empty object, nor 2.0 from 2; what is in the file stays as it was."""
    if isinstance(value, dict):
        return {key: as_lua_reads(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_lua_reads(item) for item in value] or {}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def same(a, b, where):
    """Equal, and of equal types: 1, 1.0 and True are three things."""
    if isinstance(a, dict) and isinstance(b, dict):
        assert sorted(a) == sorted(b), "%s: %s, not %s" % (where, sorted(b), sorted(a))
        for key in a:
            same(a[key], b[key], "%s.%s" % (where, key))
    elif isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        assert len(a) == len(b), "%s: %r, not %r" % (where, b, a)
        for index, (x, y) in enumerate(zip(a, b)):
            same(x, y, "%s[%d]" % (where, index))
    else:
        assert type(a) is type(b) and a == b, "%s: %r, not %r" % (where, b, a)


def constraints_of(trial):
    """The values of a trial's constraints, in the order of their setting."""
    if FIVE:
        return list(trial.constraints.values())
    return list(trial.system_attrs.get("constraints") or [])


def distribution_of(d):
    """In the words of lmopt's snapshot."""
    if isinstance(d, optuna.distributions.CategoricalDistribution):
        return {"kind": "categorical", "choices": [plain(choice) for choice in d.choices]}
    said = {"kind": "int" if isinstance(d, optuna.distributions.IntDistribution) else "float", "low": d.low, "high": d.high}
    if d.log:
        said["log"] = True
    if d.step is not None and not (said["kind"] == "int" and d.step == 1):
        said["step"] = d.step
    return said


def trial_of(trial, several):
    """An Optuna trial in the words of lmopt's export; dates and constraints are compared elsewhere."""
    said = {"number": trial.number, "state": STATES[trial.state.name], "params": {k: plain(v) for k, v in trial.params.items()}}
    if trial.values is not None:
        values = [plain(float(value)) for value in trial.values]
        said.update({"values": values} if several else {"value": values[0]})
    if trial.user_attrs:
        said["user_attrs"] = as_lua_reads(trial.user_attrs)
    if trial.intermediate_values:
        said["intermediate_values"] = [{"step": step, "value": plain(float(trial.intermediate_values[step]))}
                                       for step in sorted(trial.intermediate_values)]
    if "lmopt:error" in trial.system_attrs:
        said["error"] = trial.system_attrs["lmopt:error"]
    return said


def compare(path, name):
    """Everything Optuna reads of a study with everything lmopt does. Returns Optuna's study."""
    study = load(path, name)
    exported, seen = export(path, name), snapshot(path)[name]
    several = len(study.directions) > 1
    same(exported["study"], study.study_name, "name")
    same(exported["directions"], [direction.name.lower() for direction in study.directions], "directions")
    same(exported.get("user_attrs", {}), as_lua_reads(study.user_attrs), "user attributes")
    same(seen.get("metric_names"), study.metric_names, "metric names")
    trials = study.get_trials(deepcopy=False)
    assert len(trials) == len(exported["trials"]) == len(seen["trials"]), (len(trials), len(exported["trials"]))
    for trial, wanted, other in zip(trials, exported["trials"], seen["trials"]):
        where = "%s %d" % (name, trial.number)
        wanted = dict(wanted)
        dates = [wanted.pop(key, None) for key in ("datetime_start", "datetime_complete")]
        constraints = wanted.pop("constraints", {})
        assert [date is None for date in dates] == [trial.datetime_start is None, trial.datetime_complete is None], where
        same(wanted, trial_of(trial, several), where)
        same({k: distribution_of(d) for k, d in trial.distributions.items()}, other["distributions"], where)
        assert sorted(float(value) for value in constraints.values()) == sorted(constraints_of(trial)), where
    if FIVE or not partly_constrained(trials):
        compare_best(study, seen)
    return study


def check_dates(path, name):
    """lmopt's dates are UTC. Optuna 5 means UTC too, and shows local time; 4 writes and reads local time under the same text."""
    for trial, wanted in zip(load(path, name).get_trials(deepcopy=False), export(path, name)["trials"]):
        for got, text in ((trial.datetime_start, wanted.get("datetime_start")), (trial.datetime_complete, wanted.get("datetime_complete"))):
            if got is not None:
                shift = got - datetime.datetime.fromisoformat(text)
                assert shift == datetime.timedelta(hours=9 if FIVE else 0), (trial.number, text, got)


def partly_constrained(trials):
    """Then Optuna 4 takes the trials without constraints for infeasible ones; 5 and lmopt do not."""
    return len({"constraints" in trial.system_attrs for trial in trials if trial.state.name == "COMPLETE"}) == 2


def compare_best(study, seen):
    best, name = study.best_trials, study.study_name
    assert seen["best_trials"] == numbers(best), (name, seen["best_trials"], numbers(best))
    if len(study.directions) == 1 and best:
        assert seen["best"] == study.best_trial.number, (name, seen["best"], study.best_trial.number)
