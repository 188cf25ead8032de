"""Ask, 10 suggestions, tell: lmopt next to Optuna and Rustuna, in turns.

Every figure is a median: of 100 trials around 1,000 finished ones, over all rounds; the spread is that of the rounds' own
medians. Time that passes and time of the processor are both taken. Where other programs want the processor too, a
median of times that pass flatters the quicker side: most of its short asks end before anybody interrupts them, few of the
long ones do.
"""
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
from importlib.metadata import version

from tools import WORK, Mark, copy, lua, named, path_of, python, remove, row, say, spread

ROUNDS = 4
FIRST, LAST = 950, 1050  # 100 trials around the thousandth
WARM = 10  # trials of a process, before they count

MEMORY, WAL, ROLLBACK = "in memory", "SQLite, WAL, synchronous NORMAL", "SQLite, rollback journal, synchronous FULL"


def pairs_of(lines):
    """(seconds passed, seconds of the processor) of each trial."""
    return [tuple(float(part) for part in line.split()) for line in lines if line[:1].isdigit()]


def check_journal(path, place):
    """A row is what its name says, or there is no row: lmopt puts files that it made back into WAL when it opens them."""
    connection = sqlite3.connect(path)
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    connection.close()
    wanted = "wal" if place == WAL else "delete"
    if mode != wanted:
        sys.exit(f"{place}: the file is in journal mode {mode}, not {wanted}")


def lmopt(place, filled):
    if place == MEMORY:
        return pairs_of(lua("ask_tell.lua", "memory", FIRST, LAST))
    path = path_of("lmopt.db")
    remove(path)
    if place == ROLLBACK:  # lmopt leaves Optuna's files in the mode they have, and is synchronous FULL there
        copy(filled, path)
    found = pairs_of(lua("ask_tell.lua", path, FIRST, LAST))
    check_journal(path, place)
    return found


def optuna(place, trials, filled, seed):
    arguments = (trials, "wal" if place == WAL else "default", WARM, LAST - FIRST, seed)
    if place == MEMORY:
        return pairs_of(python("ask_tell.py", "measure", "memory", *arguments))
    path = copy(filled, path_of("optuna.db"))
    found = pairs_of(python("ask_tell.py", "measure", path, *arguments))
    check_journal(path, place)
    return found


def rustuna(kind, grown, seed):
    if kind == "memory":
        return pairs_of(python("ask_tell_rustuna.py", kind, "-", FIRST, LAST, seed))
    path = copy(grown, path_of("rustuna." + kind))
    found = pairs_of(python("ask_tell_rustuna.py", kind, path, FIRST, LAST, seed))
    if kind == "sqlite":
        check_journal(path, ROLLBACK)
    return found


def prepare():
    """Studies of 940 trials of their own TPE; the rounds go on from copies."""
    trials, filled = path_of("trials.pickle"), path_of("filled.db")
    grown = {kind: path_of("grown." + kind) for kind in ("sqlite", "journal")}
    for path in (filled, *grown.values()):
        remove(path)
    python("ask_tell.py", "grow", trials, FIRST - WARM)
    python("ask_tell.py", "fill", filled, trials)
    connection = sqlite3.connect(filled)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    # In memory where there is such a folder: nothing is measured yet, and every commit would wait for the disk.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else WORK) as folder:
        for kind, path in grown.items():
            quick = os.path.join(folder, kind)
            python("ask_tell_rustuna.py", kind, quick, FIRST - WARM, FIRST - WARM, 1)
            shutil.copyfile(quick, path)
    return trials, filled, grown


def measure():
    say("growing the studies to measure with ...")
    trials, filled, grown = prepare()
    found = {}
    for number in range(ROUNDS):
        for place in (MEMORY, WAL, ROLLBACK):
            found.setdefault(("lmopt", place), []).append(lmopt(place, filled))
            found.setdefault(("Optuna", place), []).append(optuna(place, trials, filled, number))
            kind = {MEMORY: "memory", ROLLBACK: "sqlite", WAL: "journal"}[place]
            found.setdefault(("Rustuna", kind), []).append(rustuna(kind, grown.get(kind), number))
        say(f"asks: round {number + 1} of {ROUNDS} done")
    return found


def compare(what, ours, theirs, mark=None):
    """A row; what it gives is how many times quicker the median of our trials is."""
    def median(rounds, which):
        return statistics.median(pair[which] for one in rounds for pair in one)

    def of_rounds(rounds):
        return [statistics.median(pair[0] for pair in one) for one in rounds]

    passed, worked = (median(theirs, which) / median(ours, which) for which in (0, 1))
    return row(what, spread(of_rounds(ours), 1e3, 3, "ms"), spread(of_rounds(theirs), 1e3, 2, "ms"), f"{passed:.1f}", f"{worked:.1f}",
               mark, passed)


def peers():
    found = measure()
    optuna_name, rustuna_name = (f"{name} {version(name.lower())}" for name in ("Optuna", "Rustuna"))
    begin = "TPE, 10 floats, 1,000 finished trials: "
    return [
        compare(f"{begin}in memory; {optuna_name}", found["lmopt", MEMORY], found["Optuna", MEMORY], Mark(">=", 50, " times")),
        compare(f"{begin}{WAL}; {optuna_name}", found["lmopt", WAL], found["Optuna", WAL], Mark(">=", 120, " times")),
        compare(f"{begin}{ROLLBACK}; {optuna_name}", found["lmopt", ROLLBACK], found["Optuna", ROLLBACK]),
        compare(f"{begin}files as each makes them: lmopt's WAL and NORMAL; {optuna_name}'s rollback and FULL", found["lmopt", WAL],
                found["Optuna", ROLLBACK]),
        compare(f"{begin}in memory; {rustuna_name}", found["lmopt", MEMORY], found["Rustuna", "memory"], Mark(">", 1, " times")),
        compare(f"{begin}lmopt's SQLite, rollback and FULL; {rustuna_name}'s SQLite, rollback", found["lmopt", ROLLBACK],
                found["Rustuna", "sqlite"]),
        compare(f"{begin}lmopt's SQLite, rollback and FULL; {rustuna_name}'s journal file", found["lmopt", ROLLBACK],
                found["Rustuna", "journal"]),
    ]


def growth():
    """The processor's time at 10,000 finished trials over that at 1,000, and peak memory: medians of 3 processes."""
    ratios, early, late, peaks = [], [], [], []
    for _ in range(3):
        lines = lua("ask_tell.lua", "memory", FIRST, LAST, 9950, 10050)
        pairs, count = pairs_of(lines), LAST - FIRST
        small, large = (statistics.median(pair[1] for pair in some) for some in (pairs[:count], pairs[count:]))
        early.append(small)
        late.append(large)
        ratios.append(large / small)
        peaks.append(named(lines, "peak") / 1024)
    say("growth done")
    ratio = statistics.median(ratios)
    return [
        row("a trial at 10,000 finished trials; at 1,000 (in memory, processor time)", spread(late, 1e3, 3, "ms"),
            spread(early, 1e3, 3, "ms"), f"{ratio:.1f}", mark=Mark("<=", 13, " times"), figure=ratio),
        row("peak memory of that process", spread(peaks, 1, 1, "MiB"), mark=Mark("<", 32, " MiB"), figure=statistics.median(peaks)),
    ]
