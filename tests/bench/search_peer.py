"""Runs one sampler of Optuna on one problem, in memory: search_peer.py [from] PROBLEM SAMPLER TRIALS SEED... |
time SAMPLER FLOATS FIRST LAST SEED

Prints a line of JSON for each seed: {"seed", "values", "seconds"}; a value is null where the trial failed. The version of
Optuna is that of the Python it runs under. With `from`, the first ten trials of a seed are those that search.lua's have.
"""
import contextlib
import json
import sys
import time
import warnings

import optuna

import search_problems as problems


def tpe(**options):
    return lambda seed, _several: optuna.samplers.TPESampler(seed=seed, **options)


def gp(seed, _several):
    import torch
    torch.set_num_threads(1)
    if int(torch.__version__.split(".")[0]) < 2:
        # Optuna says `with torch.device("cpu")`, which torch 1 does not know and a machine without other devices does not need.
        device = torch.device

        class Shim:
            def __new__(cls, *arguments):
                return contextlib.nullcontext(device(*arguments))

        torch.device = Shim
    return optuna.samplers.GPSampler(seed=seed)


SAMPLERS = {
    "random": lambda seed, _: optuna.samplers.RandomSampler(seed=seed),
    "tpe": tpe(),
    "tpe_univariate": tpe(multivariate=False),
    "tpe_multivariate": tpe(multivariate=True),
    "tpe_group": tpe(multivariate=True, group=True),
    "cmaes": lambda seed, _: optuna.samplers.CmaEsSampler(seed=seed),
    "nsga2": lambda seed, _: optuna.samplers.NSGAIISampler(seed=seed),
    "nsga3": lambda seed, _: optuna.samplers.NSGAIIISampler(seed=seed),
    "qmc": lambda seed, _: optuna.samplers.QMCSampler(seed=seed, scramble=True),
    "gp": gp,
}


class Suggest:
    def __init__(self, trial):
        self.trial = trial

    def float(self, name, low, high, log=False):
        return self.trial.suggest_float(name, low, high, log=log)

    def integer(self, name, low, high, log=False, step=1):
        return self.trial.suggest_int(name, low, high, log=log, step=step)

    def choice(self, name, choices):
        return self.trial.suggest_categorical(name, choices)


def study_of(problem, sampler, seed):
    count = problems.objectives(problem)
    return optuna.create_study(directions=["minimize"] * count, sampler=SAMPLERS[sampler](seed, count > 1))


STARTS = 10


def solve(problem, sampler, trials, seed, begins=False):
    evaluate, study = problems.function(problem), study_of(problem, sampler, seed)
    for point in problems.starts(problem, STARTS, seed) if begins else []:
        study.enqueue_trial(point)
    started = time.perf_counter()
    study.optimize(lambda trial: evaluate(Suggest(trial)), n_trials=trials)
    seconds = time.perf_counter() - started
    values = [list(one.values) if one.values else None for one in study.get_trials(deepcopy=False)]
    return {"seed": seed, "values": values, "seconds": round(seconds, 3)}


def measure(sampler, floats, first, last, seed):
    """The seconds of ask, suggestions and tell of the trials numbered first to last - 1: those that passed, the processor's."""
    study = optuna.create_study(sampler=SAMPLERS[sampler](seed, False))
    names = [f"x{i}" for i in range(1, floats + 1)]
    for number in range(last):
        started, worked = time.perf_counter(), time.process_time()
        trial = study.ask()
        study.tell(trial, sum((trial.suggest_float(name, -5, 5) - 1) ** 2 for name in names))
        if number >= first:
            print(f"{time.perf_counter() - started:.9f} {time.process_time() - worked:.9f}")


def main(arguments):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    if arguments[0] == "time":
        measure(arguments[1], *(int(one) for one in arguments[2:]))
        return
    begins = arguments[0] == "from"
    problem, sampler, trials, *seeds = arguments[1:] if begins else arguments
    for seed in seeds:
        print(json.dumps(solve(problem, sampler, int(trials), int(seed), begins)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
