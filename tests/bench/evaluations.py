"""lmopt.evaluate: what it adds to the model's own time, and rows a second of a metric alone."""
import statistics

from tools import Mark, lua, named, row, say, spread

ROUNDS = 5


def rates(how):
    """Rows a second: by the clock, and by the processor's time."""
    pairs = []
    for _ in range(ROUNDS):
        lines = lua("evaluate.lua", how)
        pairs.append((named(lines, how), named(lines, "work")))
    return zip(*pairs)


def figures():
    waits, works = [], []
    for _ in range(ROUNDS):
        lines = lua("evaluate.lua", "waiting")
        waits.append(named(lines, "waiting"))
        works.append(named(lines, "work"))
    rescored, rescored_work = rates("rescore")
    evaluated, evaluated_work = rates("evaluate")
    say("evaluations done")
    return [
        row("`lmopt.evaluate` of 2,000 examples, 50 ms a call, 200 in flight (ideal: 0.5 s)", spread(waits, 1, 3, "s"),
            processor=f"{statistics.median(works):.3f} s", mark=Mark("<=", 0.6, " s"), figure=statistics.median(waits)),
        row("rows a second that `result:rescore` scores by exact match (200,000 rows, interval included)", spread(rescored, 1, 0, "/s"),
            processor=f"{statistics.median(rescored_work):,.0f} /s", mark=Mark(">=", 200000, " /s"), figure=statistics.median(rescored)),
        row("rows a second that `lmopt.evaluate` gets from a program that answers at once (200,000 rows)", spread(evaluated, 1, 0, "/s"),
            processor=f"{statistics.median(evaluated_work):,.0f} /s"),
    ]
