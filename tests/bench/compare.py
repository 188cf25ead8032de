"""Measures lmopt and Optuna in turns, and prints one table: compare.py [--write]

Called by tests/bench/run, with Optuna's Python. Every figure is a median: of 100 asks around 1,000 finished trials, over
all rounds; the spread is that of the rounds' own medians. The two sides take turns, so that a busy machine hits both.

Time that passes and time of the processor are both told. Where other programs want the processor too, a median of times
that pass flatters the quicker side: most of its short asks end before anybody interrupts them, few of the long ones do.
"""
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from importlib.metadata import version

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ["BUILD"]
WORK = os.path.join(BUILD, "bench")
LUA = os.environ.get("LUA", "lua5.4")
ROUNDS = 4
FIRST, LAST = 950, 1050  # 100 trials around the thousandth
WARM = 10  # of Optuna's trials, before they count

MEMORY, WAL, ROLLBACK = "in memory", "SQLite, WAL, synchronous NORMAL", "SQLite, rollback journal, synchronous FULL"


def run(command, **options):
    result = subprocess.run(command, capture_output=True, text=True, **options)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def pairs_of(lines):
    return [tuple(float(part) for part in line.split()) for line in lines]


def path_of(name):
    return os.path.join(WORK, name)


def remove(path):
    for ending in ("", "-wal", "-shm", "-journal"):
        if os.path.exists(path + ending):
            os.remove(path + ending)


def lmopt(storage, *spans):
    """(seconds passed, seconds of the processor) of each trial of the spans, and the peak memory in kB."""
    environment = dict(os.environ, LUA_CPATH=os.path.join(BUILD, "?.so") + ";;")
    command = [LUA, os.path.join(HERE, "ask_tell.lua"), storage] + [str(number) for number in spans]
    lines = run(command, env=environment).split("\n")
    peaks = [int(line.split()[1]) for line in lines if line.startswith("peak")]
    return pairs_of(line for line in lines if line[:1].isdigit()), peaks[0] if peaks else 0


def optuna(*arguments):
    command = [sys.executable, os.path.join(HERE, "ask_tell.py")] + [str(argument) for argument in arguments]
    return pairs_of(run(command).splitlines())


def set_journal(path, mode):
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.close()


# --- ask + suggest + tell ---


def check_journal(path, place):
    """A row is what its name says, or there is no row: lmopt puts files that it made back into WAL when it opens them."""
    connection = sqlite3.connect(path)
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    connection.close()
    wanted = "wal" if place == WAL else "delete"
    if mode != wanted:
        sys.exit(f"{place}: the file is in journal mode {mode}, not {wanted}")


def lmopt_in(place, filled):
    if place == MEMORY:
        return lmopt("memory", FIRST, LAST)[0]
    path = path_of("lmopt.db")
    remove(path)
    if place == ROLLBACK:  # lmopt leaves Optuna's files in the mode they have, and is synchronous FULL there
        shutil.copyfile(filled, path)
    found = lmopt(path, FIRST, LAST)[0]
    check_journal(path, place)
    return found


def optuna_in(place, trials, filled, seed):
    warm, count = WARM, LAST - FIRST
    if place == MEMORY:
        return optuna("measure", "memory", trials, "default", warm, count, seed)
    path = path_of("optuna.db")
    remove(path)
    shutil.copyfile(filled, path)
    found = optuna("measure", path, trials, "wal" if place == WAL else "default", warm, count, seed)
    check_journal(path, place)
    return found


def compare_asks():
    trials, filled = path_of("trials.pickle"), path_of("filled.db")
    remove(filled)
    optuna("grow", trials, FIRST - WARM)
    optuna("fill", filled, trials)
    set_journal(filled, "DELETE")
    found = {place: ([], []) for place in (MEMORY, WAL, ROLLBACK)}
    for number in range(ROUNDS):
        for place, (ours, theirs) in found.items():
            ours.append(lmopt_in(place, filled))
            theirs.append(optuna_in(place, trials, filled, number))
        print(f"round {number + 1} of {ROUNDS} done", file=sys.stderr)
    return found


# --- growth and start ---


def measure_growth():
    """The processor's seconds at 1,000 and 10,000 (medians of 3 runs), peak memory after both."""
    small = lmopt("memory", FIRST, LAST)[1]
    runs = [lmopt("memory", FIRST, LAST, 9950, 10050) for _ in range(3)]
    count = LAST - FIRST
    early = [pair[1] for pairs, _ in runs for pair in pairs[:count]]
    late = [pair[1] for pairs, _ in runs for pair in pairs[count:]]
    return statistics.median(early), statistics.median(late), small, max(peak for _, peak in runs)


def seconds_of(command):
    started = time.perf_counter()
    run(command)
    return time.perf_counter() - started


def compare_starts():
    script = path_of("empty.lua")
    with open(script, "w", encoding="utf-8") as file:
        file.write("return { trials = 1, objective = function() return 0 end }\n")
    commands = [os.path.join(BUILD, "lmopt"), "run", "--quiet", script], [sys.executable, "-c", "import optuna"]
    times = [], []
    for _ in range(11):
        for command, list_of_times in zip(commands, times):
            list_of_times.append(seconds_of(command))
    return [statistics.median(one[1:]) for one in times]  # the first is for the disk cache


# --- the table ---


def figures(rounds, which):
    """Median of all trials, and the least and the largest of the rounds' medians, in ms; which: 0 passed, 1 processor."""
    each = [1e3 * statistics.median(pair[which] for pair in one) for one in rounds]
    return 1e3 * statistics.median(pair[which] for one in rounds for pair in one), min(each), max(each)


def spread(found, digits):
    middle, low, high = found
    return f"{middle:,.{digits}f} [{low:,.{digits}f}, {high:,.{digits}f}]"


def row(name, ours, theirs, mark):
    cells = [name]
    for which in (0, 1):
        left, right = figures(ours, which), figures(theirs, which)
        cells += [spread(left, 3), spread(right, 2), f"{right[0] / left[0]:.0f}"]
    return cells + [f"{mark}" if mark else ""]


def make_rows(asks):
    rows = [["1,000 finished trials", "lmopt: ms", "Optuna: ms", "ratio", "lmopt: ms of processor", "Optuna: ms of processor", "ratio",
             "mark"]]
    rows.append(row(MEMORY, *asks[MEMORY], 50))
    rows.append(row(WAL, *asks[WAL], 120))
    rows.append(row(ROLLBACK, *asks[ROLLBACK], None))
    rows.append(row("lmopt WAL and NORMAL, Optuna rollback and FULL", asks[WAL][0], asks[ROLLBACK][1], None))
    return rows


def make_list(growth, starts):
    thousand, ten_thousand, small, peak = growth
    return [
        f"- lmopt in memory at 10,000 finished trials: {1e3 * ten_thousand:.3f} ms of processor, {ten_thousand / thousand:.1f} times "
        f"that at 1,000 ({1e3 * thousand:.3f} ms).",
        f"- Peak memory of that process: {small / 1024:.1f} MB after 1,050 trials, {peak / 1024:.1f} MB after 10,050.",
        f"- From start to exit: `lmopt run` of an empty objective {1e3 * starts[0]:.1f} ms, `python -c \"import optuna\"` "
        f"{1e3 * starts[1]:.0f} ms, {starts[1] / starts[0]:.0f} times.",
    ]


def as_table(rows):
    widths = [max(len(one[i]) for one in rows) for i in range(len(rows[0]))]
    lines = []
    for number, one in enumerate(rows):
        cells = [one[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(one[1:], widths[1:])]
        lines.append("| " + " | ".join(cells) + " |")
        if number == 0:
            lines.append("|" + "|".join("-" * (width + 1) + ("-" if i == 0 else ":") for i, width in enumerate(widths)) + "|")
    return "\n".join(lines)


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    python = ".".join(str(part) for part in sys.version_info[:3])
    optuna_version, numpy_version, sql_version = (version(name) for name in ("optuna", "numpy", "SQLAlchemy"))
    return (f"{model}, {os.cpu_count()} cores; Optuna {optuna_version} (numpy {numpy_version}, SQLAlchemy {sql_version}, "
            f"Python {python}, SQLite {sqlite3.sqlite_version}); one thread each")


def write(text):
    path = os.path.join(ROOT, "docs", "benchmarks.md")
    with open(path, encoding="utf-8") as file:
        page = file.read()
    begin, end = "<!-- figures: make bench WRITE=1 -->", "<!-- end of figures -->"
    head, rest = page.split(begin)
    tail = rest.split(end)[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{head}{begin}\n\n{text}\n\n{end}{tail}")


def main(arguments):
    started, load = time.perf_counter(), os.getloadavg()[0]
    asks = compare_asks()
    growth = measure_growth()
    starts = compare_starts()
    table = as_table(make_rows(asks)) + "\n\n" + "\n".join(make_list(growth, starts))
    about = (f"{machine()}.\nMedians over {ROUNDS} rounds of {LAST - FIRST} trials, the two in turns; in brackets the least and "
             f"the largest median of a round.\nThe load of the machine was {load:.1f} at the start and {os.getloadavg()[0]:.1f} at the "
             f"end; it took {time.perf_counter() - started:.0f} s.")
    print(f"10 floats in [-5, 5], default TPE: ask + 10 suggests + tell\n\n{table}\n\n{about}")
    if "--write" in arguments:
        write(f"`make bench`, {time.strftime('%Y-%m-%d')}, on {about}\n\n{table}")


main(sys.argv[1:])
