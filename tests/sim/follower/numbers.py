"""The follower as a proposer for numeric problems: pairs (w, b) with their losses, tours with their lengths.

It looks at nothing but the pairs or tours that the request shows, and for tours the points. It makes local moves around the best, and
now and then walks on in the direction that the better ones lie in.
"""
import math
import re

NUMBER = r"(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
PAIR = re.compile(r"w\s*=\s*" + NUMBER + r"\s*,\s*b\s*=\s*" + NUMBER + r"\s*(?:value|loss|function value|score)\s*[:=]\s*" + NUMBER, re.IGNORECASE)
TRACE = re.compile(r"<trace>\s*([\d,\s]+?)\s*</trace>\s*(?:length|value|score)\s*[:=]\s*" + NUMBER, re.IGNORECASE)
POINT = re.compile(r"\(?\b(\d+)\)?\s*:\s*\(\s*" + NUMBER + r"\s*,\s*" + NUMBER + r"\s*\)")
LOOK = 0.6   # how often it looks at the points before it changes a tour, rather than at the tour alone
GLANCES = 6  # so many changes it then thinks of, and takes the one that looks best


def propose(text, dice, heat):
    """The reply; None where the text is about neither."""
    pairs = [tuple(map(float, found)) for found in PAIR.findall(text)]
    if pairs:
        return propose_pair(sorted(pairs, key=lambda one: one[2]), dice, heat)
    traces = [([int(n) for n in re.findall(r"\d+", tour)], float(length)) for tour, length in TRACE.findall(text)]
    if traces:
        return propose_tour(sorted(traces, key=lambda one: one[1]), points_of(text), dice, heat)
    return None


def choose(found, dice, heat):
    """One of those shown, the best first: the hotter, the more evenly."""
    weights = [math.exp(-rank / (0.5 + 2 * heat)) for rank in range(len(found))]
    return dice.choices(found, weights)[0]


def propose_pair(pairs, dice, heat):
    best, other = choose(pairs, dice, heat), dice.choice(pairs)
    stride = dice.choice([0.0, 0.5, 1.0, 1.5])
    near = pairs[:5]
    made = []
    for axis in (0, 1):
        spread = max(one[axis] for one in near) - min(one[axis] for one in near)
        step = stride * (best[axis] - other[axis]) + dice.gauss(0, max(1.0, 0.3 * spread) * (0.5 + heat))
        made.append(round(best[axis] + step))
    if any(made[0] == one[0] and made[1] == one[1] for one in pairs):
        made[dice.randrange(2)] += dice.choice([-2, -1, 1, 2])
    return f"From the pairs above I try a move from the better ones.\n[{made[0]}, {made[1]}]"


def points_of(text):
    return {int(number): (float(x), float(y)) for number, x, y in POINT.findall(text)}


def length_of(tour, points):
    return sum(math.dist(points[one], points[other]) for one, other in zip(tour, tour[1:] + tour[:1]))


def changed(tour, dice):
    """The tour with a part reversed, or with a point moved elsewhere; where it begins stays."""
    tour = list(tour)
    if len(tour) < 4:
        return tour
    i, j = sorted(dice.sample(range(1, len(tour)), 2))
    if dice.random() < 0.6:
        tour[i:j + 1] = tour[i:j + 1][::-1]
    elif dice.random() < 0.5:
        tour.insert(j, tour.pop(i))
    else:
        tour.insert(i, tour.pop(j))
    return tour


def propose_tour(traces, points, dice, heat):
    tour = choose(traces, dice, heat)[0]
    known = all(one in points for one in tour)
    if known and dice.random() < LOOK:
        tries = [changed(tour, dice) for _ in range(GLANCES)]
        made = min(tries, key=lambda one: length_of(one, points))
    else:
        made = changed(tour, dice)
    if dice.random() < 0.3 * heat:
        made = changed(made, dice)
    return "<trace>" + ",".join(map(str, made)) + "</trace>"
