"""The problems of the comparison of samplers, as Python states them; search_problems.lua is the same in Lua.

A problem is a function of `suggest`, an object with float(name, low, high, log), integer(name, low, high, log, step) and
choice(name, choices), that returns one value or a tuple. All are minimized. `python search_problems.py SEED COUNT` prints
values at points drawn from a generator that both languages have, for the check that they agree.
"""
import json
import math
import sys

PI, E = math.pi, math.e

ALPHA = (1.0, 1.2, 3.0, 3.2)
A = ((10, 3, 17, 3.5, 1.7, 8), (0.05, 10, 17, 0.1, 8, 14), (3, 3.5, 1.7, 10, 17, 8), (17, 8, 0.05, 10, 0.1, 14))
P = ((1312, 1696, 5569, 124, 8283, 5886), (2329, 4135, 8307, 3736, 1004, 9991), (2348, 1451, 3522, 2883, 3047, 6650),
     (4047, 8828, 8732, 5743, 1091, 381))
ACKLEY_SHIFT = (9, -7.5, 4, 12.5, -11, 6.5, -3, 10, -8.5, 2)
RASTRIGIN_SHIFT = (1.3, -0.9, 2.1, -1.7, 0.6)


def floats(suggest, count, low, high):
    return [suggest.float(f"x{i}", low, high) for i in range(1, count + 1)]


def branin(suggest):
    x1, x2 = suggest.float("x1", -5, 10), suggest.float("x2", 0, 15)
    b, c, t = 5.1 / (4 * PI * PI), 5 / PI, 1 / (8 * PI)
    inner = x2 - b * x1 * x1 + c * x1 - 6
    return inner * inner + 10 * (1 - t) * math.cos(x1) + 10


def hartmann6(suggest):
    x = floats(suggest, 6, 0, 1)
    total = 0.0
    for i in range(4):
        exponent = 0.0
        for j in range(6):
            difference = x[j] - 1e-4 * P[i][j]
            exponent += A[i][j] * difference * difference
        total += ALPHA[i] * math.exp(-exponent)
    return -total


def ackley10(suggest):
    squares = waves = 0.0
    for x, shift in zip(floats(suggest, 10, -32.768, 32.768), ACKLEY_SHIFT):
        z = x - shift
        squares += z * z
        waves += math.cos(2 * PI * z)
    return -20 * math.exp(-0.2 * math.sqrt(squares / 10)) - math.exp(waves / 10) + 20 + E


def rosenbrock5(suggest):
    x = floats(suggest, 5, -5, 10)
    total = 0.0
    for i in range(4):
        valley, away = x[i + 1] - x[i] * x[i], 1 - x[i]
        total += 100 * valley * valley + away * away
    return total


def rastrigin5(suggest):
    total = 50.0
    for x, shift in zip(floats(suggest, 5, -5.12, 5.12), RASTRIGIN_SHIFT):
        z = x - shift
        total += z * z - 10 * math.cos(2 * PI * z)
    return total


def log10(x):
    return math.log(x) / math.log(10)


def log2(x):
    return math.log(x) / math.log(2)


MIXED_RATE = {"sgd": -1.2, "adam": -3.0, "rmsprop": -3.4}
MIXED_OPTIMIZER = {"sgd": 0.3, "adam": 0.0, "rmsprop": 0.2}
MIXED_LAYERS = {"relu": 5, "tanh": 3, "gelu": 6, "elu": 4}
MIXED_ACTIVATION = {"relu": 0.1, "tanh": 0.4, "gelu": 0.0, "elu": 0.25}


def mixed7(suggest):
    rate, decay = suggest.float("lr", 1e-5, 1, log=True), suggest.float("wd", 1e-6, 1e-1, log=True)
    layers, units = suggest.integer("layers", 1, 8), suggest.integer("units", 16, 1024, log=True)
    batch = suggest.integer("batch", 8, 128, step=8)
    activation = suggest.choice("act", ["relu", "tanh", "gelu", "elu"])
    optimizer = suggest.choice("opt", ["sgd", "adam", "rmsprop"])
    u = log10(rate) - MIXED_RATE[optimizer]
    return (0.5 * u ** 2 + 0.1 * (1 - math.cos(4 * PI * u)) + 0.25 * (log10(decay) + 4) ** 2
            + 0.15 * (layers - MIXED_LAYERS[activation]) ** 2 + 0.2 * (log2(units) - 7.5) ** 2 + ((batch - 48) / 32) ** 2
            + MIXED_ACTIVATION[activation] + MIXED_OPTIMIZER[optimizer])


def conditional(suggest):
    base = 0.2 * (suggest.float("thr", 0, 1) - 0.7) ** 2
    kind = suggest.choice("clf", ["svm", "rf", "mlp"])
    if kind == "svm":
        c = log10(suggest.float("svm_C", 1e-3, 1e3, log=True))
        if suggest.choice("svm_kernel", ["linear", "rbf"]) == "linear":
            return base + 0.30 + 0.05 * c ** 2
        gamma = log10(suggest.float("svm_gamma", 1e-4, 10, log=True))
        return base + 0.12 + 0.04 * (c - 1) ** 2 + 0.06 * (gamma + 2) ** 2
    if kind == "rf":
        trees, depth = suggest.integer("rf_trees", 10, 1000, log=True), suggest.integer("rf_depth", 1, 32)
        feature = suggest.float("rf_feat", 0.1, 1)
        return base + 0.15 + 0.03 * (log10(trees) - 2.5) ** 2 + 0.02 * ((depth - 14) / 4) ** 2 + 0.5 * (feature - 0.4) ** 2
    rate, dropout = suggest.float("mlp_lr", 1e-5, 1e-1, log=True), suggest.float("mlp_dropout", 0, 0.5)
    layers = suggest.integer("mlp_layers", 1, 4)
    widths = 0.0
    for i in range(layers):
        widths += (log2(suggest.integer(f"mlp_units{i}", 8, 512, log=True)) - (8 - i)) ** 2
    return base + 0.08 * (log10(rate) + 3) ** 2 + 2 * (dropout - 0.2) ** 2 + 0.05 * (layers - 3) ** 2 + 0.03 / layers * widths


def zdt(suggest):
    x = floats(suggest, 10, 0, 1)
    return x[0], 1 + sum(x[1:])


def zdt1(suggest):
    f, g = zdt(suggest)
    return f, g * (1 - math.sqrt(f / g))


def zdt2(suggest):
    f, g = zdt(suggest)
    return f, g * (1 - (f / g) ** 2)


def zdt3(suggest):
    f, g = zdt(suggest)
    return f, g * (1 - math.sqrt(f / g) - f / g * math.sin(10 * PI * f))


def dtlz2(suggest):
    x = floats(suggest, 12, 0, 1)
    g = 1 + sum((one - 0.5) ** 2 for one in x[2:])
    a, b = x[0] * PI / 2, x[1] * PI / 2
    return g * math.cos(a) * math.cos(b), g * math.cos(a) * math.sin(b), g * math.sin(a)


# name: (function, least value) for one objective; (function, reference point, volume between it and the front) for several.
# The volume of zdt3 is front_of_zdt3().
SINGLE = {
    "branin": (branin, 0.39788735772973816), "hartmann6": (hartmann6, -3.3223680114155147), "ackley10": (ackley10, 0.0),
    "rosenbrock5": (rosenbrock5, 0.0), "rastrigin5": (rastrigin5, 0.0), "mixed7": (mixed7, 4.75e-9), "conditional": (conditional, 0.0),
}
SEVERAL = {
    "zdt1": (zdt1, (1.1, 10.0), 32 / 3), "zdt2": (zdt2, (1.1, 10.0), 31 / 3), "zdt3": (zdt3, (1.1, 10.0), 11.12176291),
    "dtlz2": (dtlz2, (2.5, 2.5, 2.5), 15.625 - PI / 6),
}


def function(name):
    return (SINGLE.get(name) or SEVERAL[name])[0]


def objectives(name):
    return 1 if name in SINGLE else len(SEVERAL[name][1])


def clean(points):
    """The points that no other one dominates, each once, by their first coordinate."""
    front = []
    for point in sorted(set(points)):
        if not any(all(a <= b for a, b in zip(other, point)) for other in front):
            front.append(point)
    return front


def hypervolume(points, reference):
    """Of points strictly inside the reference; two or three objectives, by slices."""
    points = clean([tuple(one) for one in points if all(a < b for a, b in zip(one, reference))])
    if not points:
        return 0.0
    if len(reference) == 2:
        volume, edge = 0.0, reference[1]
        for x, y in points:
            volume += (reference[0] - x) * (edge - y)
            edge = y
        return volume
    volume, levels = 0.0, sorted({one[2] for one in points})
    for low, high in zip(levels, levels[1:] + [reference[2]]):
        volume += (high - low) * hypervolume([one[:2] for one in points if one[2] <= low], reference[:2])
    return volume


def front_of_zdt3():
    """The volume under the front x -> 1 - sqrt(x) - x sin(10 pi x), of which the lowest so far counts."""
    steps, volume, lowest = 2_000_000, 0.0, math.inf
    for i in range(steps):
        x = (i + 0.5) / steps
        lowest = min(lowest, 1 - math.sqrt(x) - x * math.sin(10 * PI * x))
        volume += (10 - lowest) / steps
    return volume + 0.1 * (10 - lowest)


class Drawn:
    """Points from a 31-bit linear congruential generator: the same in Lua."""

    def __init__(self, seed):
        self.state = seed

    def uniform(self):
        self.state = (self.state * 1103515245 + 12345) % 2147483648
        return self.state / 2147483648

    def float(self, _name, low, high, log=False):
        u = self.uniform()
        return math.exp(math.log(low) + u * (math.log(high) - math.log(low))) if log else low + u * (high - low)

    def integer(self, _name, low, high, log=False, step=1):
        if log:
            return min(high, int(self.float("", low, high + 1, log=True)))
        return low + step * int(self.uniform() * ((high - low) // step + 1))

    def choice(self, _name, choices):
        return choices[int(self.uniform() * len(choices))]


class Kept:
    """Draws, and keeps what was drawn by name."""

    def __init__(self, drawn):
        self.drawn, self.point = drawn, {}

    def __getattr__(self, kind):
        def keep(name, *arguments, **options):
            self.point[name] = getattr(self.drawn, kind)(name, *arguments, **options)
            return self.point[name]
        return keep


def starts(problem, count, seed):
    """The first parameters of a run that begins where lmopt's does: points of a problem, by name."""
    drawn, points = Drawn(seed * 1000003 % 2147483648), []
    for _ in range(count):
        kept = Kept(drawn)
        function(problem)(kept)
        points.append(kept.point)
    return points


def difference(printed, other):
    """The largest relative difference between the values that two calls of `main` printed, this one's and Lua's."""
    largest = 0.0
    pairs = list(zip(printed.splitlines(), other.splitlines(), strict=True))
    for one, two in pairs:
        (name, ours), (same, theirs) = json.loads(one), json.loads(two)
        if name != same or len(ours) != len(theirs):
            return math.inf
        for a, b in zip(ours, theirs):
            largest = max(largest, abs(a - b) / max(1.0, abs(a)))
    return largest if pairs else math.inf


def main(arguments):
    seed, count = int(arguments[0]), int(arguments[1])
    for name in sorted({**SINGLE, **SEVERAL}):
        drawn = Drawn(seed)
        for _ in range(count):
            value = function(name)(drawn)
            print(json.dumps([name, list(value) if isinstance(value, tuple) else [value]]))


if __name__ == "__main__":
    main(sys.argv[1:])
