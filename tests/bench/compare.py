"""Measures lmopt next to its peers and prints one table: compare.py [--print-only] [--only PART]

Called by tests/bench/run, with the Python that has the peers. Without --print-only the table goes into docs/benchmarks.md.
A part is asks, processes, cache_hits, evaluations, programs or calls; one alone is only printed.
"""
import os
import sqlite3
import sys
import time
from importlib.metadata import version

import asks
import calls
import cache_hits
import evaluations
import processes
import programs
import rescoring
from tools import HEADER, ROOT, as_table

BEGIN, END = "<!-- figures: make bench -->", "<!-- end of figures -->"


PARTS = {
    "asks": (asks.peers, asks.growth),
    "processes": (processes.starts, processes.sleepers, processes.opening, processes.utilisation),
    "cache_hits": (cache_hits.hits,),
    "evaluations": (evaluations.figures, rescoring.figures),
    "programs": (programs.predict, programs.evaluate, programs.first),
    "calls": (calls.rows,),
}


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    interpreter = ".".join(str(part) for part in sys.version_info[:3])
    names = ", ".join(f"{name} {version(name)}" for name in ("numpy", "SQLAlchemy"))
    return (f"{model}, {os.cpu_count()} cores; {processes.versions()}, Optuna {version('optuna')} ({names}), Rustuna {version('rustuna')}, "
            f"Python {interpreter}, SQLite {sqlite3.sqlite_version}; one thread each")


def write(text):
    path = os.path.join(ROOT, "docs", "benchmarks.md")
    with open(path, encoding="utf-8") as file:
        page = file.read()
    head, rest = page.split(BEGIN)
    tail = rest.split(END)[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}")


def main(arguments):
    only = arguments[arguments.index("--only") + 1] if "--only" in arguments else None
    started, load = time.perf_counter(), os.getloadavg()[0]
    rows = [HEADER]
    for name in [only] if only else PARTS:
        for part in PARTS[name]:
            rows += part()
    text = (f"`make bench`, {time.strftime('%Y-%m-%d')}, on {machine()}. The load of the machine was {load:.1f} at the start and "
            f"{os.getloadavg()[0]:.1f} at the end; it took {time.perf_counter() - started:.0f} s.\n\n{as_table(rows)}")
    print(text)
    if not only and "--print-only" not in arguments:
        write(text)
        print("\nThe table is in docs/benchmarks.md.")


main(sys.argv[1:])
