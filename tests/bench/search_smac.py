"""Runs SMAC3 on one problem: search_smac.py PROBLEM smac TRIALS SEED...

Prints what search_peer.py prints. The facade is the one SMAC's guide names for the space: a Gaussian process (BlackBoxFacade)
where all parameters are floats, a random forest (HyperparameterOptimizationFacade) elsewhere. Conditions are declared.
"""
import json
import logging
import sys
import tempfile
import time
import warnings

from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, GreaterThanCondition, InCondition, Integer
from smac import BlackBoxFacade, HyperparameterOptimizationFacade, Scenario

import search_problems as problems


class Declared:
    """Collects the parameters of one path through a problem."""

    def __init__(self):
        self.parameters = {}

    def float(self, name, low, high, log=False):
        self.parameters[name] = Float(name, (low, high), log=log)
        return (low + high) / 2

    def integer(self, name, low, high, log=False, step=1):
        # Without a step in ConfigSpace: the number of steps instead.
        self.parameters[name] = Integer(name, (low, high), log=log) if step == 1 else Integer(name, (0, (high - low) // step))
        return high

    def choice(self, name, choices):
        self.parameters[name] = Categorical(name, choices)
        return choices[0]


def space_of(problem, seed):
    space = ConfigurationSpace(seed=seed)
    if problem != "conditional":
        declared = Declared()
        problems.function(problem)(declared)
        space.add(list(declared.parameters.values()))
        return space
    kind, kernel = Categorical("clf", ["svm", "rf", "mlp"]), Categorical("svm_kernel", ["linear", "rbf"])
    layers, gamma = Integer("mlp_layers", (1, 4)), Float("svm_gamma", (1e-4, 10), log=True)
    children = {
        "svm": [Float("svm_C", (1e-3, 1e3), log=True), kernel],
        "rf": [Integer("rf_trees", (10, 1000), log=True), Integer("rf_depth", (1, 32)), Float("rf_feat", (0.1, 1))],
        "mlp": [Float("mlp_lr", (1e-5, 1e-1), log=True), Float("mlp_dropout", (0, 0.5)), layers],
    }
    units = [Integer(f"mlp_units{i}", (8, 512), log=True) for i in range(4)]
    space.add([Float("thr", (0, 1)), kind, gamma] + [one for some in children.values() for one in some] + units)
    space.add([EqualsCondition(one, kind, name) for name, some in children.items() for one in some])
    space.add([EqualsCondition(gamma, kernel, "rbf"), InCondition(units[0], kind, ["mlp"])])
    space.add([GreaterThanCondition(one, layers, i) for i, one in enumerate(units) if i > 0])
    return space


class Suggest:
    def __init__(self, configuration):
        self.configuration = dict(configuration)

    def float(self, name, _low, _high, log=False):
        return float(self.configuration[name])

    def integer(self, name, low, _high, log=False, step=1):
        value = int(self.configuration[name])
        return value if step == 1 else low + step * value

    def choice(self, name, _choices):
        return str(self.configuration[name])


def solve(problem, trials, seed):
    evaluate, space, values = problems.function(problem), space_of(problem, seed), []

    def target(configuration, seed=0):
        values.append(evaluate(Suggest(configuration)))
        return values[-1]

    floats = problem not in ("mixed7", "conditional")
    facade = BlackBoxFacade if floats else HyperparameterOptimizationFacade
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(space, deterministic=True, n_trials=trials, seed=seed, output_directory=folder)
        started = time.perf_counter()
        facade(scenario, target, overwrite=True, logging_level=logging.CRITICAL).optimize()
        seconds = time.perf_counter() - started
    return {"seed": seed, "values": [[one] for one in values[:trials]], "seconds": round(seconds, 3)}


def main(arguments):
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    for seed in arguments[3:]:
        print(json.dumps(solve(arguments[0], int(arguments[2]), int(seed))), flush=True)


main(sys.argv[1:])
