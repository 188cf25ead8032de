"""What the programs of this folder share: they run build/lmopt as its users do, on real files, and look at the files from outside.

A file is looked at through a copy (with its -wal), so that looking repairs nothing: recovery is left to lmopt.
"""

import contextlib
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
LMOPT = os.path.join(BUILD, "lmopt")
SANITIZED = bool(os.environ.get("SANITIZE", "").strip())
PATIENCE = 200  # seconds until a process that hangs is a failure

os.environ.setdefault("LMOPT_CACHE", "memory")  # nobody's own replies

started = []  # processes of this test

FINISHED = ("COMPLETE", "PRUNED", "FAIL")


def environment(**more):
    """The environment of a run; keys that are None are taken away."""
    made = dict(os.environ)
    for key, value in more.items():
        made.pop(key, None)
        if value is not None:
            made[key] = str(value)
    return made


def lmopt(*arguments, cwd, **more):
    """Runs lmopt to its end: status, standard output, standard error."""
    env = more.pop("env", None)
    done = subprocess.run([LMOPT, *arguments], cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=PATIENCE, env=env, **more)
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def watch(process):
    """Has a process killed that is still there after a while, so that nobody waits for it for ever. Ended with its test."""
    started.append(process)
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.daemon = True
    watchdog.start()
    return process


def start(*arguments, cwd, env=None, log=None):
    """Starts lmopt; what it says goes to the file `log`."""
    with open(log or os.devnull, "ab") as out:
        return watch(subprocess.Popen([LMOPT, *arguments], cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env))


def end_started():
    """Nothing outlives its test."""
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()
    started.clear()


def copy_script(name, folder):
    shutil.copy(os.path.join(HERE, name), folder)


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


# --- looking at a study file ---


@contextlib.contextmanager
def copy_of(path):
    """A connection to a copy of the file and of its -wal."""
    with tempfile.TemporaryDirectory(prefix="lmopt-look-") as folder:
        copy = os.path.join(folder, "copy.db")
        for ending in ("", "-wal", "-journal"):
            if os.path.exists(path + ending):
                shutil.copyfile(path + ending, copy + ending)
        connection = sqlite3.connect(copy)
        try:
            yield connection
        finally:
            connection.close()


def one_study(connection, name=None):
    rows = connection.execute("SELECT study_id FROM studies WHERE ?1 IS NULL OR study_name = ?1", (name,)).fetchall()
    assert len(rows) <= 1, "%d studies in the file" % len(rows)
    return rows[0][0] if rows else None


def has_tables(connection):
    return connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'trials'").fetchone()[0] == 1


def read_trials(connection, study):
    """number -> what a trial is, apart from when it ran."""
    trials = {}
    of = {}
    for trial, number, state, begun, ended in connection.execute(
            "SELECT trial_id, number, state, datetime_start, datetime_complete FROM trials WHERE study_id = ? ORDER BY trial_id",
            (study,)):
        assert number not in trials, "number %s stands twice" % number
        of[trial] = trials[number] = {"id": trial, "state": state, "dates": (begun, ended), "params": {}, "values": {},
                                      "reports": {}, "user": {}, "system": {}}
    for kind, query in (
            ("params", "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params"),
            ("values", "SELECT trial_id, objective, value, value_type FROM trial_values"),
            ("reports", "SELECT trial_id, step, intermediate_value, intermediate_value_type FROM trial_intermediate_values"),
            ("user", "SELECT trial_id, key, value_json FROM trial_user_attributes"),
            ("system", "SELECT trial_id, key, value_json FROM trial_system_attributes")):
        for row in connection.execute(query):
            if row[0] in of:
                of[row[0]][kind][row[1]] = row[2:]
    return trials


def essence(trial):
    """What must not depend on interruptions, nor on how many trials ran at a time."""
    return {key: trial[key] for key in ("state", "params", "values", "reports", "user")}


def finished(trials):
    return {number: trial for number, trial in trials.items() if trial["state"] in FINISHED}


def check_whole(connection, study):
    """What holds of a study file at any moment; returns its trials."""
    verdict = connection.execute("PRAGMA integrity_check").fetchall()
    assert verdict == [("ok",)], verdict
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    trials = read_trials(connection, study)
    assert sorted(trials) == list(range(len(trials))), "the numbers have gaps: %s" % sorted(trials)
    for number, trial in trials.items():
        state = trial["state"]
        assert state in FINISHED + ("RUNNING", "WAITING"), (number, state)
        if state == "COMPLETE":
            assert trial["values"], "trial %d is complete without a value" % number
        if state not in FINISHED:
            assert not trial["values"], "trial %d is %s and has a value" % (number, state)
        if state == "WAITING":
            assert not trial["reports"], "trial %d waits and has reports" % number
        assert (trial["dates"][1] is not None) == (state in FINISHED), (number, trial)
    owned = dict(connection.execute("SELECT trial_id, owner_id FROM lmopt_trial_owners").fetchall())
    running = {trial["id"] for trial in trials.values() if trial["state"] == "RUNNING"}
    assert running == {t for t in owned if t in {trial["id"] for trial in trials.values()}}, "owners of trials that do not run"
    return trials


def same(expected, found, what):
    """Two studies, number by number; says where they part."""
    assert sorted(expected) == sorted(found), "%s: %d trials, not %d" % (what, len(found), len(expected))
    for number in sorted(expected):
        a, b = essence(expected[number]), essence(found[number])
        for key in a:
            assert a[key] == b[key], "%s: %s of trial %d: %s, not %s" % (what, key, number, b[key], a[key])


def look(path, name=None):
    """The trials of a whole study file; None when it has no study yet."""
    if not os.path.exists(path):
        return None
    with copy_of(path) as connection:
        verdict = connection.execute("PRAGMA integrity_check").fetchall()
        assert verdict == [("ok",)], verdict
        study = one_study(connection, name) if has_tables(connection) else None
        return None if study is None else check_whole(connection, study)


def hash_of(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def beside(path):
    """The files that SQLite may keep next to a database."""
    return [ending for ending in ("-wal", "-shm", "-journal") if os.path.exists(path + ending)]


# --- TAP ---


def run_tests(tests):
    """Each in a folder of its own that is gone afterwards. Returns the exit status."""
    wanted = sys.argv[1:]
    tests = [test for test in tests if not wanted or test.__name__ in wanted]
    print("1..%d" % len(tests))
    failed = 0
    for number, test in enumerate(tests, 1):
        with tempfile.TemporaryDirectory(prefix="lmopt-faults-", ignore_cleanup_errors=True) as folder:
            try:
                said = test(folder)
                problem = None
            except Exception:  # a test that breaks is one that fails
                said, problem = None, traceback.format_exc()
            finally:
                end_started()
        print("%sok %d - %s%s" % ("not " if problem else "", number, test.__name__.replace("_", " "), ": " + said if said else ""),
              flush=True)
        if problem:
            failed += 1
            print("".join("# %s\n" % line for line in problem.rstrip().split("\n")), end="", flush=True)
    return 1 if failed else 0
