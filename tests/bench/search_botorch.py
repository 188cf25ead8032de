"""Runs BoTorch on a problem of floats: search_botorch.py PROBLEM logei TRIALS SEED...

Prints what search_peer.py prints. What BoTorch's own tutorial does: 2 d + 2 scrambled Sobol points, then SingleTaskGP with its
default priors (lengthscales that grow with the dimension), standardized outcomes, LogExpectedImprovement from 10 restarts of
512 raw samples.
"""
import json
import sys
import time
import warnings

import torch
from botorch.acquisition import LogExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms import Standardize
from botorch.optim import optimize_acqf
from gpytorch.mlls import ExactMarginalLogLikelihood

import search_problems as problems


class Declared:
    def __init__(self):
        self.bounds = []

    def float(self, _name, low, high, log=False):
        self.bounds.append((low, high))
        return (low + high) / 2


class Suggest:
    """Values by the order in which they are asked for, which is the same in every trial."""

    def __init__(self, point):
        self.point = list(point)

    def float(self, _name, low, high, log=False):
        return low + (high - low) * self.point.pop(0)


def propose(x, y):
    model = SingleTaskGP(x, y, outcome_transform=Standardize(1))
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    bounds = torch.stack([torch.zeros(x.shape[1]), torch.ones(x.shape[1])]).double()
    acquisition = LogExpectedImprovement(model, best_f=y.max())
    return optimize_acqf(acquisition, bounds, q=1, num_restarts=10, raw_samples=512)[0]


def solve(problem, trials, seed):
    torch.manual_seed(seed)
    evaluate, declared = problems.function(problem), Declared()
    evaluate(declared)
    dimensions = len(declared.bounds)
    started = time.perf_counter()
    x = torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=seed).draw(2 * dimensions + 2).double()
    values = [evaluate(Suggest(point.tolist())) for point in x]
    while len(values) < trials:
        point = propose(x, -torch.tensor(values).double().unsqueeze(-1))
        x = torch.cat([x, point])
        values.append(evaluate(Suggest(point[0].tolist())))
    return {"seed": seed, "values": [[one] for one in values], "seconds": round(time.perf_counter() - started, 3)}


def main(arguments):
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for seed in arguments[3:]:
        print(json.dumps(solve(arguments[0], int(arguments[2]), int(seed))), flush=True)


main(sys.argv[1:])
