"""Prompt optimizers next to DSPy's: optimizers.py [--seeds N] [--models A,B] [--optimizers A,B] [--limit N] [--latency S] [--peer]
[--ours] [--fresh] [--table] [--print-only] [--options JSON] [--numbers]

Each optimizer of either side gets the same simulated model (tests/sim), program, data and limit of calls in flight, DSPy its own
defaults; lmopt may make as many model calls as DSPy's run of the same name has made, which the server counts. Then both best programs
are scored on the same test set. Runs are kept in results/optimizers-*.jsonl, a line of JSON each; those that are there are not made again,
lmopt's when the module is the same, unless --fresh says so. --peer and --ours make the runs of one side alone, --table none. The table goes into
docs/benchmarks.md, unless --print-only says otherwise.
"""
import argparse
import hashlib
import json
import math
import os
import re
import statistics
import subprocess
import sys
import urllib.request

from tools import BUILD, HERE, LUA, ROOT, WORK, as_table, say

BEGIN, END = "<!-- optimizers: make bench -->", "<!-- end of optimizers -->"
RESULTS = os.path.join(HERE, "results")
PEER = os.path.join(WORK, "venv-optimizers", "bin", "python")
MODELS = ["learner", "follower", "judge"]
FEW_SHOT = ["labeled_few_shot", "bootstrap_few_shot", "random_search", "bayesian_few_shot", "knn_few_shot"]
THEIRS = {
    "labeled_few_shot": "LabeledFewShot", "bootstrap_few_shot": "BootstrapFewShot", "random_search": "BootstrapFewShotWithRandomSearch",
    "bayesian_few_shot": "BootstrapFewShotWithOptuna", "knn_few_shot": "KNNFewShot", "opro": "a loop in Python",
}
# The quantiles of Student's t for 95 %, by the degrees of freedom.
STUDENT = [math.nan, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09]


class Server:
    """A simulated model in a process of its own."""

    def __init__(self, model, seed, latency):
        command = [sys.executable, "-B", os.path.join(ROOT, "tests", "sim", "serve.py"), model, "--seed", str(seed)]
        self.process = subprocess.Popen(command + ["--latency", str(latency), "--seconds", "3600"], stdout=subprocess.PIPE, text=True)
        self.base = "http://127.0.0.1:" + self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        urllib.request.urlopen(self.base + "/shutdown", data=b"").close()
        self.process.wait(30)


def digest():
    """Of the module that is measured: what another one has done says nothing of it."""
    with open(os.path.join(BUILD, "lmopt.so"), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:12]


def path_of(side):
    return os.path.join(RESULTS, f"optimizers-{side}.jsonl")


def read(side):
    """The runs of a side, the last of each kind; a line that was cut off is not one."""
    runs = {}
    if os.path.exists(path_of(side)):
        with open(path_of(side), encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    one = json.loads(line)
                    runs[one["optimizer"], one["model"], one["seed"], one["latency"]] = one
    return runs


def keep(side, about, run):
    os.makedirs(RESULTS, exist_ok=True)
    with open(path_of(side), "a", encoding="utf-8") as file:
        file.write(json.dumps(dict(about, **run), sort_keys=True) + "\n")


def compact(side):
    """Leaves the last run of each kind in the file."""
    runs = read(side)
    with open(path_of(side), "w", encoding="utf-8") as file:
        for key in sorted(runs):
            file.write(json.dumps(runs[key], sort_keys=True) + "\n")


def text_of(command, seconds):
    """What a program prints; what it says besides is shown when it fails."""
    environment = dict(os.environ, LUA_CPATH=os.path.join(BUILD, "?.so") + ";;", LUA_PATH=";;", PYTHONDONTWRITEBYTECODE="1")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment, check=False)
    except subprocess.TimeoutExpired:
        say(f"{' '.join(command)}: no end after {seconds} s")
        return ""
    if done.returncode != 0:
        say(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def lines_of(command, seconds):
    """The objects that a program prints."""
    return [json.loads(line) for line in text_of(command, seconds).splitlines() if line.startswith("{")]


def run_theirs(options, model, seed, names):
    few = [name for name in names if name != "opro"]
    if few:
        with Server(model, seed, options.latency) as server:
            yield from lines_of([PEER, os.path.join(HERE, "optimizers_peer.py"), server.base, model, str(seed), str(options.limit)] + few, 1800)
    if "opro" in names:
        with Server(model, seed, options.latency) as server, Server("follower", seed, options.latency) as proposer:
            script = os.path.join(HERE, "optimizers_opro.py")
            yield from lines_of([sys.executable, script, server.base, proposer.base, model, str(seed), str(options.limit)], 1800)


def run_with(options):
    """Runs of lmopt with further options, where there are DSPy's to compare with."""
    theirs, runs = read("dspy"), {}
    for name, model, seed, latency in sorted(theirs):
        if name in options.optimizers and model in options.models and seed < options.seeds and latency == options.latency:
            for run in run_ours(options, model, seed, name, theirs[name, model, seed, latency], options.options):
                runs[name, model, seed, latency] = run
    return runs


def run_ours(options, model, seed, name, theirs, more="{}"):
    """One run, with as many calls as theirs made; a KNNFewShot makes its calls when it is asked, so those count there."""
    calls = theirs["calls"] + (theirs["test_calls"] - 200 if name == "knn_few_shot" else 0)
    script = os.path.join(HERE, "optimizers.lua")
    with Server(model, seed, options.latency) as server, Server("follower", seed, options.latency) as proposer:
        return lines_of([LUA, script, server.base, proposer.base, model, str(seed), str(options.limit), name, str(calls), more], 1800)


def wanted(options, side):
    """What is to be run: model, seed, and the names of the optimizers."""
    known = {} if options.fresh else read(side)
    if side == "lmopt":
        known = {key for key, one in known.items() if one.get("digest") == digest()}
    for seed in range(options.seeds):
        for model in options.models:
            names = [name for name in options.optimizers if (name, model, seed, options.latency) not in known]
            names = [name for name in names if name != "opro" or model != "learner"]  # it reads no instructions
            if names:
                yield model, seed, names


def run_all(options):
    if not options.ours:
        for model, seed, names in wanted(options, "dspy"):
            for run in run_theirs(options, model, seed, names):
                keep("dspy", {"model": model, "seed": seed, "latency": options.latency}, run)
            say(f"DSPy, {model}, seed {seed} done")
    if not options.peer:
        theirs = read("dspy")
        for model, seed, names in wanted(options, "lmopt"):
            for name in names:
                peer = theirs.get((name, model, seed, options.latency))
                for run in run_ours(options, model, seed, name, peer) if peer else []:
                    keep("lmopt", {"model": model, "seed": seed, "latency": options.latency, "digest": digest()}, run)
            say(f"lmopt, {model}, seed {seed} done")


def interval(values):
    """The mean, and how far its 95 % interval reaches to either side."""
    count = len(values)
    if count < 2:
        return statistics.mean(values), math.nan
    return statistics.mean(values), STUDENT[min(count, len(STUDENT)) - 1] * statistics.stdev(values) / math.sqrt(count)


def verdict(mean, reach, count):
    if count < 5:
        return ""
    if mean - reach > 0:
        return "better"
    if mean + reach < 0:
        return "**worse**"
    return "level"


def rows_of(ours, theirs, options, latency):
    rows = []
    for name in options.optimizers:
        for model in options.models:
            pairs = [(ours[key], theirs[key]) for key in ours if key in theirs and key[0] == name and key[1] == model and key[3] == latency]
            if not pairs:
                continue
            mean, reach = interval([one["score"] - other["score"] for one, other in pairs])
            scores = [statistics.mean(one["score"] for one in side) for side in zip(*pairs)]
            calls = [statistics.mean(one["calls"] for one in side) for side in zip(*pairs)]
            asked = [statistics.mean(one["test_calls"] for one in side) for side in zip(*pairs)]
            seconds = [statistics.median(one["seconds"] for one in side) for side in zip(*pairs)]
            whole = [statistics.median(one["seconds"] + one["test_seconds"] for one in side) for side in zip(*pairs)]
            if latency:
                rows.append([f"`{name}`, {model}", str(len(pairs)), *(f"{one:,.0f}" for one in calls), *(f"{one:,.2f} s" for one in seconds),
                             f"{seconds[1] / seconds[0]:.1f}" if seconds[0] > 0.01 else "", *(f"{one:,.2f} s" for one in whole),
                             f"{whole[1] / whole[0]:.1f}"])
            else:
                rows.append([f"`{name}`, {model}", str(len(pairs)), *(f"{100 * one:.1f}" for one in scores),
                             f"{100 * mean:+.1f} ± {100 * reach:.1f}", verdict(mean, reach, len(pairs)), *(f"{one:,.0f}" for one in calls),
                             *(f"{one:,.0f}" for one in asked)])
    return rows


def tables(options, ours=None):
    ours, theirs = ours or read("lmopt"), read("dspy")
    scores = [["optimizer, model", "seeds", "lmopt", "DSPy", "difference", "", "calls", "DSPy's", "at the test", "DSPy's"]]
    times = [["optimizer, model", "seeds", "calls", "DSPy's", "compile", "DSPy's", "ratio", "and the test", "DSPy's", "ratio"]]
    scores += rows_of(ours, theirs, options, 0.0)
    parts = [as_table(scores)] if len(scores) > 1 else []
    for latency in sorted({key[3] for key in ours} - {0.0}):
        rows = rows_of(ours, theirs, options, latency)
        if rows:
            parts.append(f"The same at {1000 * latency:.0f} ms a call, {options.limit} in flight:\n\n" + as_table(times + rows))
    return "\n\n".join(parts)


def numbers(options):
    """OPRO on the paper's kinds of numeric problems: how often the optimum is found, and after how many solutions."""
    problems = [(f"regression, w = {w}, b = {b}", "opro_regression", [w, b])
                for w, b in ((15, 14), (17, 17), (16, 10), (3, 5), (25, 23), (2, 30), (36, -1))]
    problems += [(f"travelling salesman, {count} points", "opro_tsp", [count]) for count in (10, 14)]
    rows = [["problem", "runs", "optimum found", "solutions looked at"]]
    for name, example, arguments in problems:
        tries, found = [], 0
        for seed in range(1, options.seeds + 1):
            with Server("follower", seed, 0.0) as server:
                command = [LUA, os.path.join(HERE, "optimizers_numbers.lua"), server.base, str(options.limit), example, *map(str, arguments)]
                said = text_of(command + [str(seed)], 300)
            figures = re.search(r"after (\d+) \w+: ([\d.]+); the (?:best possible is|shortest has) ([\d.]+)", said)
            if figures:
                tries.append(int(figures.group(1)))
                found += figures.group(2) == figures.group(3)
        if tries:
            rows.append([name, str(len(tries)), str(found), f"{statistics.median(tries):,.0f} [{min(tries):,}, {max(tries):,}]"])
        say(f"{name} done")
    return as_table(rows)


def write(text):
    path = os.path.join(ROOT, "docs", "benchmarks.md")
    with open(path, encoding="utf-8") as file:
        page = file.read()
    head, rest = page.split(BEGIN)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{head}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--models", type=lambda text: text.split(","), default=MODELS)
    parser.add_argument("--optimizers", type=lambda text: text.split(","), default=FEW_SHOT + ["opro"])
    parser.add_argument("--limit", type=int, default=16, help="model calls in flight")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that each call takes; 0.05 for the table of times")
    for flag in ("--peer", "--ours", "--fresh", "--table", "--print-only"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--options", help="further options of lmopt's optimizers, as JSON; those runs are shown and not kept")
    parser.add_argument("--numbers", action="store_true", help="OPRO on regression and the travelling salesman alone")
    options = parser.parse_args()
    if options.numbers:
        print(numbers(options))
        return
    ours = None
    if options.options:
        ours = run_with(options)
    elif not options.table:
        run_all(options)
    text = tables(options, ours)
    print(text)
    if text and not options.print_only and ours is None:
        compact("dspy")
        compact("lmopt")
        write(text)


if __name__ == "__main__":
    main()
