"""Tables of the comparison of samplers, and its verdict.

The regret of a run is its best value after 200 trials less the least value there is; with several objectives what its
hypervolume lacks of the front's. lmopt is not inferior where its median regret is at most 1.05 times the peer's, or where the
upper 95 % bound of the difference of the medians (one-sided, by bootstrap) is under 0.3 standard deviations (those of
both sides, pooled).
"""
import math
import random
import statistics

import search_problems as problems
from search_runs import MARKS

RATIO, DEVIATIONS, RESAMPLES, FEWEST = 1.05, 0.3, 2000, 3


def goal(problem):
    """The least value, or the volume under the front."""
    if problem in problems.SINGLE:
        return problems.SINGLE[problem][1]
    return problems.SEVERAL[problem][2]


def shown(runs, mark):
    """What tables show: best values, or hypervolumes."""
    field = "best" if runs[0]["problem"] in problems.SINGLE else "hypervolume"
    return [run[field][str(mark)] for run in runs if str(mark) in run[field]]


def regrets(runs, mark=MARKS[-1]):
    sign = 1 if runs[0]["problem"] in problems.SINGLE else -1
    least = goal(runs[0]["problem"])
    return [max(0.0, sign * (value - least)) for value in shown(runs, mark)]


def upper_bound(ours, theirs):
    """Of the difference of medians: the 95th percentile of RESAMPLES bootstrap samples; the same at every call."""
    rng, differences = random.Random(0), []
    for _ in range(RESAMPLES):
        differences.append(statistics.median(rng.choices(ours, k=len(ours))) - statistics.median(rng.choices(theirs, k=len(theirs))))
    differences.sort()
    return differences[math.ceil(0.95 * RESAMPLES) - 1]


def deviation(ours, theirs):
    if min(len(ours), len(theirs)) < 2:
        return 0.0
    total = (len(ours) - 1) * statistics.variance(ours) + (len(theirs) - 1) * statistics.variance(theirs)
    return math.sqrt(total / (len(ours) + len(theirs) - 2))


class Verdict:
    def __init__(self, ours, theirs):
        self.ours, self.theirs = statistics.median(ours), statistics.median(theirs)
        self.ratio = self.ours / self.theirs if self.theirs > 0 else (1.0 if self.ours == 0 else math.inf)
        spread = deviation(ours, theirs)
        self.bound = upper_bound(ours, theirs) / spread if spread > 0 else (0.0 if self.ours <= self.theirs else math.inf)
        self.met = self.ours <= RATIO * self.theirs or self.bound < DEVIATIONS

    def cells(self):
        return [f"{self.ratio:.3g}", f"{self.bound:.2f}", "yes" if self.met else "**no**"]


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0], values[0]
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def number(value):
    return f"{value:.4g}"


def summary(runs, mark=MARKS[-1]):
    values = shown(runs, mark) if runs else []
    if not values:
        return "–"
    low, middle, high = quartiles(values)
    return f"{number(middle)} [{number(low)}, {number(high)}]"


def grouped(runs):
    """{(problem, library and version, sampler): runs by seed}"""
    found = {}
    for run in runs:
        found.setdefault((run["problem"], f"{run['library']} {run['version']}", run["sampler"]), []).append(run)
    for some in found.values():
        some.sort(key=lambda run: run["seed"])
    return found


def markdown(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def names_of(ours, theirs):
    both = {key[0] for key in ours} & {key[0] for key in theirs}
    return [name for name in list(problems.SINGLE) + list(problems.SEVERAL) if name in both]


HEADER = ["problem", "sampler", "lmopt: after 50", "after 100", "after 200", "seeds", "peer", "its after 200", "its seeds", "regret ratio",
          "bound of the difference, in deviations", "not inferior"]


def compared(problem, sampler, runs, peer, others):
    cells = [problem, sampler] + [summary(runs, mark) for mark in MARKS] + [str(len(runs)), peer, summary(others), str(len(others))]
    return cells + Verdict(regrets(runs), regrets(others)).cells()


def same_name(ours, theirs):
    """A row for each sampler that both have, on each problem."""
    rows = []
    for problem in names_of(ours, theirs):
        for (where, _, sampler), runs in ours.items():
            for (there, library, name), others in sorted(theirs.items()):
                if where == there == problem and sampler == name and len(others) >= FEWEST:
                    rows.append(compared(problem, sampler, runs, library, others))
    return rows


def best_peer(theirs, problem):
    """The peer with the least median regret; ties go to the first name."""
    found = None
    for (there, library, sampler), others in sorted(theirs.items()):
        if there == problem and len(others) >= FEWEST:
            middle = statistics.median(regrets(others))
            if found is None or middle < found[0]:
                found = middle, f"{library} {sampler}", others
    return found


def against_best(ours, theirs, sampler):
    rows = []
    for problem in names_of(ours, theirs):
        runs = [some for (there, _, name), some in ours.items() if there == problem and name == sampler]
        peer = best_peer(theirs, problem)
        if runs and peer:
            rows.append(compared(problem, sampler, runs[0], peer[1], peer[2]))
    return rows


def tables(ours, theirs):
    """The page's part, as Markdown; ours and theirs are lists of runs."""
    ours, theirs = grouped(ours), grouped(theirs)
    parts = []
    same = same_name(ours, theirs)
    if same:
        met = sum(row[-1] == "yes" for row in same)
        parts.append(f"**Samplers of the same name** ({met} of {len(same)} not inferior)\n\n" + markdown(HEADER, same))
    auto = against_best(ours, theirs, "auto")
    if auto:
        met = sum(row[-1] == "yes" for row in auto)
        parts.append(f"**`auto` next to the best peer** ({met} of {len(auto)} not inferior)\n\n" + markdown(HEADER, auto))
    return "\n\n".join(parts)
