"""Whole processes: the command's start, tasks asleep, a large study's opening, busy jobs."""
import os
import statistics
import sys

from tools import COMMAND, Mark, copy, lua, named, path_of, remove, row, run, say, seconds_of, spread

LARGE = 100000


def starts():
    script = path_of("empty.lua")
    with open(script, "w", encoding="utf-8") as file:
        file.write("return { trials = 1, objective = function() return 0 end }\n")
    commands = [COMMAND, "run", "--quiet", script], [sys.executable, "-c", "import optuna"]
    pairs = [], []
    for _ in range(22):
        for command, list_of_pairs in zip(commands, pairs):
            list_of_pairs.append(seconds_of(command))
    ours, theirs = ([[pair[which] for pair in one[1:]] for which in (0, 1)] for one in pairs)  # the first is for the disk cache
    passed, worked = (statistics.median(theirs[which]) / statistics.median(ours[which]) for which in (0, 1))
    say("starts done")
    return [row('`lmopt run` of an empty objective, start to exit; `python -c "import optuna"`', spread(ours[0], 1e3, 1, "ms"),
                spread(theirs[0], 1e3, 0, "ms"), f"{passed:.0f}", f"{1e3 * statistics.median(ours[1]):.1f} ms, {worked:.0f} times",
                Mark("<", 12, " ms"), 1e3 * statistics.median(ours[0]))]


def sleepers():
    wakes, works, peaks = [], [], []
    for _ in range(7):
        lines = lua("sleepers.lua", 10000)
        wakes.append(named(lines, "wake"))
        works.append(named(lines, "work"))
        peaks.append(named(lines, "peak") / 1024)
    say("sleepers done")
    return [
        row("10,000 tasks asleep at once: peak memory of the process", spread(peaks, 1, 1, "MiB"), mark=Mark("<", 24, " MiB"),
            figure=statistics.median(peaks)),
        row("waking all of them, to the end of the last", spread(wakes, 1e3, 1, "ms"), processor=f"{1e3 * statistics.median(works):.1f} ms",
            mark=Mark("<", 20, " ms"), figure=1e3 * statistics.median(wakes)),
    ]


def opening():
    made, path = path_of("large-made.db"), path_of("large.db")
    remove(made)
    lua("large_study.lua", "make", made, LARGE)
    times, works, peaks = [], [], []
    for _ in range(7):
        lines = lua("large_study.lua", "open", copy(made, path))
        times.append(named(lines, "open"))
        works.append(named(lines, "work"))
        peaks.append(named(lines, "peak") / 1024)
    size = os.path.getsize(made) / 1e6
    remove(made)
    remove(path)
    say("opening done")
    middle = statistics.median(times)
    return [row(f"opening a study of {LARGE:,} trials of 10 floats ({size:.0f} MB) and asking once", spread(times, 1, 2, "s"),
                processor=f"{statistics.median(works):.2f} s", mark=Mark("<", 1, " s"), figure=middle),
            row("peak memory of that process", spread(peaks, 1, 0, "MiB"))]


def utilisation():
    """Not a comparison: what the law of suggestion costs when trials take unequal times."""
    rows = []
    for jobs in (8, 64):
        for sigma in (0.5, 1):
            ways = {way: [100 * float(lua("utilisation.lua", jobs, sigma, way)[0]) for _ in range(3)] for way in ("default", "arrival")}
            lag, arrival = ways["default"], ways["arrival"]
            what = f"busy share of {jobs} workers, lognormal durations of sigma {sigma}: default lag ({2 * jobs}); `order = \"arrival\"`"
            ratio = statistics.median(lag) / statistics.median(arrival)
            rows.append(row(what, spread(lag, 1, 0, "%"), spread(arrival, 1, 0, "%"), f"{ratio:.2f}"))
    say("utilisation done")
    return rows


def versions():
    return run([COMMAND, "version"]).strip()
