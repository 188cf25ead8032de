"""Runs of the comparison of samplers: what is in the files of results, and what is still to do.

One line of JSON for each run: problem, sampler, library, version, seed, trials, "best" after 50, 100 and 200 trials (for
several objectives the "hypervolume" of all trials so far), "seconds" for the whole run, "failed" if trials failed. But for the
seconds, a run gives the same line on every machine of one kind.
"""
import json
import math
import os
import subprocess

import search_problems as problems

HERE = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.path.join(HERE, "results")
MARKS = (50, 100, 200)


def best_of(values):
    """The best value after each mark; infinity where no trial has finished with one."""
    found, best, marks = {}, math.inf, [mark for mark in MARKS if mark <= len(values)]
    for number, value in enumerate(values, 1):
        if value is not None:
            best = min(best, value[0])
        if number in marks:
            found[str(number)] = best
    return found


def hypervolume_of(problem, values):
    reference = problems.SEVERAL[problem][1]
    return {str(mark): problems.hypervolume([one for one in values[:mark] if one is not None], reference)
            for mark in MARKS if mark <= len(values)}


def record(problem, sampler, library, version, run):
    values = run["values"]
    made = {"problem": problem, "sampler": sampler, "library": library, "version": version, "seed": run["seed"], "trials": len(values)}
    if problem in problems.SINGLE:
        made["best"] = best_of(values)
    else:
        made["hypervolume"] = hypervolume_of(problem, values)
    failed = sum(one is None for one in values)
    if failed:
        made["failed"] = failed
    made["seconds"] = run["seconds"]
    return made


def read(path):
    """The runs of a file; a last line that was cut off is not one."""
    if not os.path.exists(path):
        return []
    runs = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                runs.append(json.loads(line))
    return runs


def append(path, run):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a+b") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # cut off in the middle of a line
                cut_last_line(file)
        file.write(json.dumps(run, separators=(",", ":")).encode() + b"\n")


def cut_last_line(file):
    file.seek(0)
    whole = file.read()
    file.truncate(whole.rfind(b"\n") + 1)
    file.seek(0, os.SEEK_END)


def key_of(run):
    return run["problem"], run["sampler"], run["version"], run["seed"], run["trials"]


def missing(path, problem, sampler, version, seeds, trials):
    done = {key_of(run) for run in read(path)}
    return [seed for seed in seeds if (problem, sampler, version, seed, trials) not in done]


def perform(command, path, problem, sampler, library, version, seeds, trials, environment=None):
    """Runs the seeds that the file lacks in one process; the message of what failed, or None."""
    seeds = missing(path, problem, sampler, version, seeds, trials)
    if not seeds:
        return None
    whole = command + [problem, sampler, str(trials)] + [str(seed) for seed in seeds]
    with subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout:
            if line.startswith("{"):
                append(path, record(problem, sampler, library, version, json.loads(line)))
        errors = process.stderr.read().strip()
    if process.returncode != 0:
        lines = errors.splitlines() or [f"exit status {process.returncode}"]
        return lines[0] if lines[0].startswith("lua") else lines[-1]  # Lua's traceback comes after its message
    return None
