"""Samplers next to those of other libraries: search.py [--seeds N] [--problems A,B] [--samplers A,B] [--peers A,B]
[--fresh N] [--all] [--table] [--print-only]

Runs lmopt's samplers on the problems of search_problems.py, 200 trials in memory, seeds 0 to N - 1 (10), and compares them
with the runs of the peers that are kept in results/. What is in the files already is not run again: lmopt's own runs are kept
in $BUILD/bench/search, by the digest of the module. --fresh N (1) runs that many of the kept runs of Optuna's cheap samplers
once more, and says how many came out the same. --all runs what the peers' files lack of 50 seeds (20 for the slow ones), which
takes hours and installs gigabytes. --table runs nothing. Then come figures of speed, Optuna's and lmopt's in turns.
"""
import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import time

import search_problems as problems
import search_runs as runs
import search_table
from search_peers import CHEAP, PEERS, python_of
from tools import BUILD, HERE, LUA, ROOT, Mark, as_table, row, run, say, spread

BEGIN, END = "<!-- search: make bench -->", "<!-- end of search -->"
WORK = os.path.join(BUILD, "bench", "search")
TRIALS, MANY, FEW = 200, 50, 20
ALL = list(problems.SINGLE) + list(problems.SEVERAL)
OURS = ["random", "tpe", "gp", "cmaes", "nsga2", "nsga3", "qmc", "auto"]


def lua_environment():
    return dict(os.environ, LUA_CPATH=os.path.join(BUILD, "?.so") + ";;", LUA_PATH=";;")


def samplers_there():
    """Those of OURS that this build has."""
    program = "local l = require 'lmopt' for _, n in ipairs(arg) do if pcall(function() return l.samplers[n]() end) then print(n) end end"
    return run([LUA, "-e", f"arg = {{{', '.join(repr(one) for one in OURS)}}} {program}"], env=lua_environment()).split()


def digest():
    with open(os.path.join(BUILD, "lmopt.so"), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:12]


def fits(problem, sampler):
    """CMA-ES has one objective; the variants of TPE are for the problems where they differ from it."""
    if sampler in ("cmaes", "tpe_univariate", "smac"):
        return problem in problems.SINGLE
    if sampler in ("logei", "hebo"):  # BoTorch's runner is for floats, HEBO has no conditions
        return problem in problems.SINGLE and problem != "conditional" and (problem, sampler) != ("mixed7", "logei")
    if sampler == "tpe_group":
        return problem == "conditional"
    return sampler != "tpe_multivariate" or problem in problems.SEVERAL


def run_ours(options):
    version, path = digest(), os.path.join(WORK, "lmopt.jsonl")
    command = [LUA, os.path.join(HERE, "search.lua")]
    for sampler in options.samplers or samplers_there():
        for problem in options.problems:
            if fits(problem, sampler):
                started = time.perf_counter()
                failed = runs.perform(command, path, problem, sampler, "lmopt", version, range(options.seeds), TRIALS, lua_environment())
                say(f"lmopt {sampler} on {problem}: {failed or f'{time.perf_counter() - started:.1f} s'}")
    return [one for one in runs.read(path) if one["version"] == version]


def stored(name):
    return os.path.join(runs.RESULTS, name + ".jsonl")


def run_peer(name, sampler, problem, seeds, path):
    peer = PEERS[name]
    command = [python_of(name, BUILD, say, torch=sampler == "gp"), os.path.join(HERE, peer["script"])]
    return runs.perform(command, path, problem, sampler, peer["library"], peer["version"], seeds, TRIALS)


def run_peers(options):
    """What the kept files lack."""
    for name in options.peers:
        for sampler, slow in PEERS[name]["samplers"].items():
            for problem in options.problems:
                if fits(problem, sampler) and (not options.samplers or sampler in options.samplers):
                    failed = run_peer(name, sampler, problem, range(min(options.seeds, FEW) if slow else options.seeds), stored(name))
                    say(f"{name} {sampler} on {problem}: {failed or 'done'}")


def repeat_peers(options):
    """Some of the kept runs once more; a sentence about them."""
    path, kept, same, count = os.path.join(WORK, "fresh.jsonl"), {}, 0, 0
    name = "optuna-5.0.0"
    for one in runs.read(stored(name)):
        kept[runs.key_of(one)] = one
    if os.path.exists(path):
        os.remove(path)
    for sampler in CHEAP:
        for problem in options.problems:
            if fits(problem, sampler):
                run_peer(name, sampler, problem, range(options.fresh), path)
    for one in runs.read(path):
        before = kept.get(runs.key_of(one))
        if before:
            count += 1
            same += all(one.get(field) == before.get(field) for field in ("best", "hypervolume"))
    return f"{same} of {count} kept runs of Optuna 5.0.0 ({', '.join(CHEAP)}) came out the same on this machine."


# --- speed ---

ROUNDS = 3


def milliseconds(lines):
    """(passed, of the processor) of the median trial."""
    pairs = [tuple(float(part) for part in line.split()) for line in lines.splitlines() if line[:1].isdigit()]
    return tuple(1e3 * statistics.median(pair[i] for pair in pairs) for i in (0, 1))


def speed_of(sampler, floats, first, last, mark, there):
    """A row: the median time of ask, suggestions and tell of trials `first` to `last`, in turns with Optuna."""
    if sampler not in there:
        return []
    peer = "optuna-5.0.0"
    ours, theirs = [], []
    for seed in range(ROUNDS):
        arguments = ["time", sampler, str(floats), str(first), str(last), str(seed)]
        ours.append(milliseconds(run([LUA, os.path.join(HERE, "search.lua")] + arguments, env=lua_environment())))
        theirs.append(milliseconds(run([python_of(peer, BUILD, say, torch=sampler == "gp"), os.path.join(HERE, "search_peer.py")] + arguments)))
    passed, worked = (statistics.median(one[i] for one in theirs) / statistics.median(one[i] for one in ours) for i in (0, 1))
    what = f"`{sampler}`, {floats} floats, in memory, trials {first} to {last}: a trial"
    return [row(what, spread([one[0] for one in ours], 1, 3, "ms"), spread([one[0] for one in theirs], 1, 2, "ms"), f"{passed:.1f}",
                f"{worked:.1f}", Mark(">=", mark, " times"), passed)]


def speeds(options):
    there, rows = samplers_there(), []
    wanted = options.samplers or ["gp", "cmaes", "nsga2"]
    if "cmaes" in wanted:
        rows += speed_of("cmaes", 10, 500, 1000, 50, there)
    if "nsga2" in wanted:
        rows += speed_of("nsga2", 10, 500, 1000, 50, there)
    if "gp" in wanted and options.torch:
        rows += speed_of("gp", 5, 150, 200, 5, there)
    if not rows:
        return ""
    return as_table([["what", "lmopt", "Optuna 5.0.0", "ratio", "in processor time", "mark", "met"]] + rows)


def write(text):
    path = os.path.join(ROOT, "docs", "benchmarks.md")
    with open(path, encoding="utf-8") as file:
        page = file.read()
    if BEGIN not in page:
        sys.exit(f"{path} has no place for the table: {BEGIN}")
    head, rest = page.split(BEGIN)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{head}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")


def listed(text):
    return text.split(",")


def read_options(arguments):
    parser = argparse.ArgumentParser(prog="search.py", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, help="how many seeds of each sampler and problem (10; with --all 50)")
    parser.add_argument("--problems", type=listed, default=ALL)
    parser.add_argument("--samplers", type=listed)
    parser.add_argument("--peers", type=listed, default=list(PEERS))
    parser.add_argument("--fresh", type=int, default=1, help="kept runs to repeat, of each cheap sampler and problem")
    parser.add_argument("--all", action="store_true", help="run what the peers' files lack, too")
    parser.add_argument("--table", action="store_true", help="run nothing: the table of what is there")
    parser.add_argument("--torch", action="store_true", help="install torch (gigabytes) to measure the speed of Optuna's `gp`")
    parser.add_argument("--print-only", action="store_true", help="leave docs/benchmarks.md as it is")
    options = parser.parse_args(arguments)
    options.seeds = options.seeds or (MANY if options.all else 10)
    options.torch = options.torch or options.all
    for problem in options.problems:
        if problem not in ALL:
            parser.error(f"no problem '{problem}'; there are {', '.join(ALL)}")
    for peer in options.peers:
        if peer not in PEERS:
            parser.error(f"no peer '{peer}'; there are {', '.join(PEERS)}")
    return options


def check_languages():
    """Both languages have the same problems."""
    python = run([sys.executable, os.path.join(HERE, "search_problems.py"), "7", "50"])
    lua = run([LUA, os.path.join(HERE, "search_problems.lua"), "7", "50"])
    difference = problems.difference(python, lua)
    if difference > 1e-12:
        sys.exit(f"search_problems.py and search_problems.lua differ by {difference:g}")


def main(arguments):
    options = read_options(arguments)
    os.makedirs(WORK, exist_ok=True)
    started, notes, speed = time.perf_counter(), [], ""
    check_languages()
    if options.table:
        version = digest()
        ours = [one for one in runs.read(os.path.join(WORK, "lmopt.jsonl")) if one["version"] == version]
    else:
        ours = run_ours(options)
        if options.all:
            run_peers(options)
        if options.fresh > 0 and "optuna-5.0.0" in options.peers:
            notes.append(repeat_peers(options))
        speed = speeds(options)
    theirs = [one for name in options.peers for one in runs.read(stored(name))]
    wanted = [[one for one in some if one["problem"] in options.problems] for some in (ours, theirs)]
    notes.insert(0, f"`tests/bench/run --only search {' '.join(arguments)}`".replace(" `", "`") + f", {time.strftime('%Y-%m-%d')}; "
                 f"it took {time.perf_counter() - started:.0f} s.")
    text = "\n\n".join(part for part in (" ".join(notes), speed, search_table.tables(*wanted)) if part)
    print(text)
    if not options.print_only and not options.table and options.problems == ALL and not options.samplers:
        write(text)
        say("\nThe tables are in docs/benchmarks.md.")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except subprocess.CalledProcessError as failure:
        sys.exit(str(failure))
