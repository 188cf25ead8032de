"""`lmopt run --rescore` and kill -9: predictions are there with their trial's result or not at all, and a rescoring that was killed comes out
like one that was not, with the old study as it was.

    BUILD=build rescore.py [TEST...]
"""

import os
import random
import shutil
import signal
import sqlite3
import sys
import time

sys.dont_write_bytecode = True
import common

TRIALS = 60 if common.SANITIZED else 100
KILLS = 3 if common.SANITIZED else 4

METRICS = """
local metrics = { lenient = %s }
function metrics.score(example, prediction)
  return %s
end
return metrics
"""

STRICT = METRICS % ("false", "example.answer == prediction.answer and 1 or 0")
LENIENT = METRICS % ("true", "1 / (1 + math.abs(example.answer - prediction.answer))")


def begin(folder, trials=TRIALS):
    common.copy_script("rescored.lua", folder)
    common.write(os.path.join(folder, "metrics.lua"), STRICT)
    return common.environment(FAULTS_TRIALS=trials)


def run(folder, env, path, *more, status=0):
    got, out, errors = common.lmopt("run", "rescored.lua", "--storage", path, *more, cwd=folder, env=env)
    assert got == status, (got, out, errors)
    return out


def predictions_of(path, study):
    """number -> what it evaluated and the hashes of its predictions; every one of them can be read."""
    with common.copy_of(path) as connection:
        rows = connection.execute(
            "SELECT number, group_concat(what) FROM (SELECT number, json_extract(about, '$.program') || ' ' || "
            "json_extract(about, '$.dataset') || ' ' || rows AS what FROM lmopt_predictions JOIN trials USING (trial_id) "
            "JOIN studies USING (study_id) WHERE study_name = ? ORDER BY number, place) GROUP BY number", (study,)).fetchall()
        lost = connection.execute("SELECT count(*) FROM lmopt_predictions WHERE rows NOT IN (SELECT hash FROM lmopt_texts) "
                                  "OR trial_id NOT IN (SELECT trial_id FROM trials)").fetchone()[0]
        assert lost == 0, "%d predictions without their text or trial" % lost
    return dict(rows)


def count_of(path, name):
    """How many trials of a study have ended; None while there is none."""
    try:
        connection = sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=0.2)
        try:
            return connection.execute("SELECT count(datetime_complete) FROM studies LEFT JOIN trials USING (study_id) "
                                      "WHERE study_name = ? GROUP BY study_id", (name,)).fetchone()
        finally:
            connection.close()
    except sqlite3.Error:
        return None


def kill_at(process, path, name, count):
    """Kills the process when so many trials of the study have ended."""
    deadline = time.monotonic() + common.PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        found = count_of(path, name)
        if found and found[0] >= count:
            break
    process.send_signal(signal.SIGKILL)
    process.wait(common.PATIENCE)


def killed_while_it_writes(folder):
    chance = random.Random(4711)
    env = begin(folder)
    original = os.path.join(folder, "original.db")
    run(folder, env, original)
    before, kept = common.look(original, "study"), predictions_of(original, "study")
    states = [trial["state"] for trial in before.values()]
    assert states.count("PRUNED") > 5 and states.count("FAIL") > 5, states
    common.write(os.path.join(folder, "metrics.lua"), LENIENT)
    reference = os.path.join(folder, "reference.db")
    shutil.copy(original, reference)
    run(folder, env, reference, "--rescore")
    expected, expected_kept = common.look(reference, "study@2"), predictions_of(reference, "study@2")
    assert expected_kept == kept
    assert any(trial["state"] == "COMPLETE" and before[n]["state"] == "FAIL" for n, trial in expected.items())
    half_written = 0
    for kill in range(KILLS):
        path = os.path.join(folder, "killed%d.db" % kill)
        shutil.copy(original, path)
        for _ in range(1 + kill % 2):  # a second one, of the run that was to repair it
            process = common.start("run", "rescored.lua", "--storage", path, "--rescore", cwd=folder, env=env)
            kill_at(process, path, "study@2", chance.randrange(TRIALS // 2))
        with common.copy_of(path) as connection:
            half = connection.execute("SELECT count(*) FROM lmopt_studies WHERE key = 'rescored_from' AND study_id NOT IN "
                                      "(SELECT study_id FROM lmopt_studies WHERE key = 'fingerprint')").fetchone()[0]
        half_written += half
        if half:
            run(folder, env, path, status=2)  # not without being told, again
        run(folder, env, path, "--rescore")
        run(folder, env, path)  # and it goes on with it
        common.same(expected, common.look(path, "study@2"), "killed %d times" % (1 + kill % 2))
        common.same(before, common.look(path, "study"), "the old study")
        assert predictions_of(path, "study@2") == kept and predictions_of(path, "study") == kept
        os.remove(path)
    assert half_written, "none of %d kills met a study that was half written" % KILLS
    return "%d of %d kills left a study half written" % (half_written, KILLS)


def killed_while_it_runs(folder):
    """Predictions are with the trials that have ended, and with no others; then scored anew, and gone on with."""
    trials = TRIALS
    env = begin(folder, trials)
    reference = os.path.join(folder, "reference.db")
    run(folder, env, reference, "--jobs", "1")
    expected = predictions_of(reference, "study")
    path = os.path.join(folder, "s.db")
    chance = random.Random(99)
    in_flight = 0
    for kill in range(3):
        process = common.start("run", "rescored.lua", "--storage", path, "--jobs", "8", cwd=folder, env=env)
        kill_at(process, path, "study", kill * TRIALS // 4 + chance.randrange(1, 20))
        found = common.look(path, "study")
        in_flight += len(found) - len(common.finished(found))
        kept = predictions_of(path, "study")
        for number, trial in found.items():
            wanted = expected.get(number) if trial["state"] in common.FINISHED else None
            assert kept.get(number) == wanted, "trial %d is %s" % (number, trial["state"])
    common.write(os.path.join(folder, "metrics.lua"), LENIENT)
    copy = os.path.join(folder, "copy.db")
    for ending in ("", "-wal", "-shm"):  # as the kill left it
        if os.path.exists(path + ending):
            shutil.copy(path + ending, copy + ending)
    run(folder, env, copy, "--new")
    run(folder, env, path, "--rescore", "--jobs", "8")
    run(folder, env, reference, "--rescore", "--jobs", "8")
    common.same(common.look(reference, "study@2"), common.look(path, "study@2"), "scored anew halfway, or at the end")
    return "%d trials in flight" % in_flight


if __name__ == "__main__":
    sys.exit(common.run_tests([killed_while_it_writes, killed_while_it_runs]))
