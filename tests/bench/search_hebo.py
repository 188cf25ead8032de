"""Runs HEBO on a problem without conditions: search_hebo.py PROBLEM hebo TRIALS SEED...

Prints what search_peer.py prints. One point at a time, default options; logarithmic integers are 'pow_int'.
"""
import json
import logging
import sys
import time
import warnings

import numpy as np
import torch
from hebo.design_space.design_space import DesignSpace
from hebo.optimizers.hebo import HEBO

import search_problems as problems


class Declared:
    def __init__(self):
        self.parameters = []

    def add(self, name, kind, low, high, **more):
        self.parameters.append({"name": name, "type": kind, "lb": low, "ub": high, **more})

    def float(self, name, low, high, log=False):
        self.add(name, "pow" if log else "num", low, high, **({"base": 10} if log else {}))
        return (low + high) / 2

    def integer(self, name, low, high, log=False, step=1):
        if log:
            self.add(name, "pow_int", low, high, base=10)
        else:
            self.add(name, "step_int" if step > 1 else "int", low, high, **({"step": step} if step > 1 else {}))
        return high

    def choice(self, name, choices):
        self.parameters.append({"name": name, "type": "cat", "categories": choices})
        return choices[0]


class Suggest:
    def __init__(self, row):
        self.row = row

    def float(self, name, low, high, log=False):
        return min(high, max(low, float(self.row[name])))

    def integer(self, name, low, high, log=False, step=1):
        return min(high, max(low, int(round(float(self.row[name])))))

    def choice(self, name, _choices):
        return str(self.row[name])


def solve(problem, trials, seed):
    np.random.seed(seed)
    torch.manual_seed(seed)
    evaluate, declared, values = problems.function(problem), Declared(), []
    evaluate(declared)
    started = time.perf_counter()
    optimizer = HEBO(DesignSpace().parse(declared.parameters), scramble_seed=seed)
    while len(values) < trials:
        point = optimizer.suggest(n_suggestions=1)
        values.append(evaluate(Suggest(point.iloc[0])))
        optimizer.observe(point, np.array([[values[-1]]]))
    return {"seed": seed, "values": [[one] for one in values], "seconds": round(time.perf_counter() - started, 3)}


def main(arguments):
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    for seed in arguments[3:]:
        print(json.dumps(solve(arguments[0], int(arguments[2]), int(seed))), flush=True)


main(sys.argv[1:])
