"""Programs: lmopt next to DSPy, on models that are functions of the process itself.

They take turns, and what is compared is neighbours: a ratio is that of two runs one after the other, the figure the median
of the rounds' ratios.
"""
import os
import statistics

from tools import COMMAND, HERE, WORK, Mark, lua, named, row, run, say, seconds_of, spread

PEER = os.path.join(WORK, "venv-programs", "bin", "python")
ROUNDS, OURS, THEIRS = 5, 100000, 2000
CORE = ["taskset", "-c", str(max(os.sched_getaffinity(0)))]


def peer(*arguments):
    return [PEER, os.path.join(HERE, "programs_peer.py"), *arguments]


def ours(*arguments):
    return [COMMAND, "run", "--quiet", os.path.join(HERE, "programs.lua"), "--", *arguments]


def ratios(left, right, which):
    return statistics.median(a[which] / b[which] for a, b in zip(left, right))


def predict():
    def rates(command):
        lines = run(CORE + command).splitlines()
        return [named(lines, "calls") / named(lines, name) for name in ("seconds", "work")]

    left, right = [], []
    for _ in range(ROUNDS):
        left.append(rates(ours("predict", str(OURS))))
        right.append(rates(peer("predict", str(THEIRS))))
    rate, figure = [one[0] for one in left], ratios(left, right, 0)
    what = "`lmopt.predict` on a function model, calls a second on one core: formatted, asked, read"
    processor = f"{statistics.median(one[1] for one in left):,.0f} /s, {ratios(left, right, 1):.0f} times"
    say("predict done")
    return [
        row(what, spread(rate, 1, 0, "/s"), mark=Mark(">=", 50000, " /s"), figure=statistics.median(rate)),
        row("the same; DSPy's `Predict` on its `DummyLM`", spread(rate, 1, 0, "/s"), spread([one[0] for one in right], 1, 0, "/s"),
            f"{figure:.0f}", processor, Mark(">=", 50, " times"), figure),
    ]


def evaluate():
    left, right = [], []
    for _ in range(3):
        lines = lua("evaluate.lua", "waiting")
        left.append([named(lines, "waiting"), named(lines, "work")])
        lines = run(peer("waiting")).splitlines()
        right.append([named(lines, "seconds"), named(lines, "work")])
    say("evaluate done")
    return [row("`lmopt.evaluate` of 2,000 examples, 50 ms a call, 200 in flight; DSPy's `Evaluate` with 200 threads",
                spread([one[0] for one in left], 1, 3, "s"), spread([one[0] for one in right], 1, 2, "s"),
                f"{ratios(right, left, 0):.1f}", f"{statistics.median(one[1] for one in left):.3f} s, {ratios(right, left, 1):.0f} times")]


def first():
    times, peaks = ([], []), ([], [])
    for place, command in enumerate((ours("first"), peer("first"))):
        for number in range(8):
            pair, lines = seconds_of(command), run(command).splitlines()
            if number > 0:  # the first is for the disk's cache
                times[place].append(pair)
                peaks[place].append([named(lines, "peak") / 1024])
    say("first answers done")
    passed = [[pair[0] for pair in one] for one in times]
    memory = [[pair[0] for pair in one] for one in peaks]
    return [
        row("a process from its start to the first answer of a program, and its end; the same with DSPy", spread(passed[0], 1e3, 1, "ms"),
            spread(passed[1], 1e3, 0, "ms"), f"{ratios(times[1], times[0], 0):.0f}", f"{ratios(times[1], times[0], 1):.0f} times"),
        row("its memory, at most", spread(memory[0], 1, 1, "MiB"), spread(memory[1], 1, 0, "MiB"), f"{ratios(peaks[1], peaks[0], 0):.0f}"),
    ]
