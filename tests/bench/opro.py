"""OPRO with a constant temperature and with an annealed one, and on numbers: opro.py [--seeds N] [--steps N] [--models A,B] [--limit N]
[--numbers] [--table] [--print-only]

On the simulated models (tests/sim) each schedule gets the same steps of 8 candidates and the same data; the best program is scored on
200 examples that nothing has seen. --numbers: linear regression and the travelling salesman, examples/opro_*.lua with the simulated
follower as the proposer, the true values and the sizes of the paper. Runs are kept in results/opro.jsonl; --table only writes the table
of what is there into docs/benchmarks.md, unless --print-only says otherwise.
"""
import argparse
import json
import os
import re
import statistics
import subprocess

from optimizers import RESULTS, Server, lines_of
from tools import BUILD, HERE, LUA, ROOT, as_table, say

BEGIN, END = "<!-- opro: tests/bench/opro.py -->", "<!-- end of opro -->"
PATH = os.path.join(RESULTS, "opro.jsonl")
SCHEDULES = {
    "constant, 1.0": {"schedule": "constant"},
    "constant, 1.5": {"schedule": "constant", "temperature": 1.5},
    "annealed, 1.0 to 0.4": {"schedule": "annealed"},
    "annealed, 1.5 to 0.4": {"schedule": "annealed", "temperature": 1.5},
}
PAIRS = [(15, 14), (17, 17), (16, 10), (3, 5), (25, 23), (2, 30), (36, -1)]  # w and b, table 2 of the paper
POINTS = [10, 12, 15]
FOUND = re.compile(r"after (\d+) (?:pairs|tours): ([\d.]+); the (?:best possible is|shortest has) ([\d.]+)")


def read():
    runs = {}
    if os.path.exists(PATH):
        with open(PATH, encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    one = json.loads(line)
                    runs[one["problem"], one["how"], one["seed"]] = one
    return runs


def keep(run):
    os.makedirs(RESULTS, exist_ok=True)
    with open(PATH, "a", encoding="utf-8") as file:
        file.write(json.dumps(run, sort_keys=True) + "\n")


def run_schedules(options):
    for seed in range(options.seeds):
        for model in options.models:
            for how, given in SCHEDULES.items():
                if (model, how, seed) in read():
                    continue
                more = json.dumps(dict(given, n_steps=options.steps))
                script = os.path.join(HERE, "optimizers.lua")
                with Server(model, seed, 0) as server, Server("follower", seed, 0) as proposer:
                    for run in lines_of([LUA, script, server.base, proposer.base, model, str(seed), str(options.limit), "opro", "0", more], 1800):
                        keep({"problem": model, "how": how, "seed": seed, "steps": options.steps, "score": run["score"],
                              "validation": run["val_score"], "calls": run["calls"]})
            say(f"{model}, seed {seed} done")


def run_numbers(options):
    problems = [("regression", (w, b), f"w = {w}, b = {b}") for w, b in PAIRS] + [("tsp", (count,), f"{count} points") for count in POINTS]
    for seed, schedule in ((seed, schedule) for seed in range(1, options.seeds + 1) for schedule in ("constant", "annealed")):
        for script, values, how in problems:
            how = f"{how}, {schedule}"
            if (script, how, seed) in read():
                continue
            with Server("follower", seed, 0) as proposer:
                environment = dict(os.environ, OPENAI_BASE_URL=proposer.base + "/v1", OPENAI_API_KEY="none")
                command = [os.path.join(BUILD, "lmopt"), "run", "--quiet", os.path.join(ROOT, "examples", f"opro_{script}.lua"), "--lm",
                           "openai/follower", "--"] + [str(value) for value in values + (seed, schedule)]
                done = subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment, check=False)
            found = FOUND.search(done.stdout)
            if not found:
                say(f"{script}, {how}, seed {seed}: {done.stdout} {done.stderr[-500:]}")
                continue
            keep({"problem": script, "how": how, "seed": seed, "tried": int(found[1]), "value": float(found[2]), "best": float(found[3])})
        say(f"numbers, seed {seed} done")


def spread(values):
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values) if len(values) > 1 else 0:.3f}"


def tables():
    runs, parts = read(), []
    rows = []
    for model in sorted({key[0] for key in runs if key[0] not in ("regression", "tsp")}):
        for how in SCHEDULES:
            mine = {key[2]: run for key, run in runs.items() if key[:2] == (model, how)}
            base = {key[2]: run for key, run in runs.items() if key[:2] == (model, "constant, 1.0")}
            both = sorted(set(mine) & set(base))
            if mine:
                wins = sum(mine[seed]["score"] > base[seed]["score"] for seed in both)
                losses = sum(mine[seed]["score"] < base[seed]["score"] for seed in both)
                rows.append([model, how, str(len(mine)), spread([run["validation"] for run in mine.values()]),
                             spread([run["score"] for run in mine.values()]), "" if how == "constant, 1.0" else f"{wins} / {losses}"])
    if rows:
        parts.append(as_table([["model", "temperature", "seeds", "validation", "held out", "better / worse than constant 1.0"]] + rows))
    rows = []
    for script in ("regression", "tsp"):
        for how in [f"w = {w}, b = {b}" for w, b in PAIRS] + [f"{count} points" for count in POINTS]:
            row = [f"{script}, {how}"]
            for schedule in ("constant", "annealed"):
                mine = [run for key, run in runs.items() if key[:2] == (script, f"{how}, {schedule}")]
                found = [run for run in mine if run["value"] <= run["best"] + 1e-6]
                row += [f"{len(found)} of {len(mine)}", spread_of([run["tried"] for run in found])]
            if row[1] != "0 of 0":
                rows.append(row)
    if rows:
        parts.append(as_table([["problem", "constant: found", "tried: median, most", "annealed: found", "tried: median, most"]] + rows))
    return "\n\n".join(parts)


def spread_of(values):
    return f"{statistics.median(values):.0f}, {max(values)}" if values else ""


def write(text):
    path = os.path.join(ROOT, "docs", "benchmarks.md")
    with open(path, encoding="utf-8") as file:
        page = file.read()
    if BEGIN not in page:
        say(f"there is no {BEGIN} in docs/benchmarks.md")
        return
    head, rest = page.split(BEGIN, 1)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{head}{BEGIN}\n\n{text}\n\n{END}{rest.split(END, 1)[1]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--models", type=lambda text: text.split(","), default=["follower", "judge"])
    parser.add_argument("--limit", type=int, default=16)
    parser.add_argument("--numbers", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--print-only", action="store_true")
    options = parser.parse_args()
    if not options.table:
        if options.numbers:
            run_numbers(options)
        else:
            run_schedules(options)
    text = tables()
    print(text)
    if not options.print_only:
        write(text)
