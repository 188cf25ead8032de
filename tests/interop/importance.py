"""The importances of studies that Optuna wrote: lmopt's PED-ANOVA gives Optuna's numbers. And the volume below the front."""

import json
import os
import warnings

import common
import numpy
import optuna
import space
from common import FIVE, check
from optuna._hypervolume import compute_hypervolume
from optuna.importance import PedAnovaImportanceEvaluator as PedAnova

TOLERANCE = 1e-9

warnings.simplefilter("ignore")  # of targets, and of quantiles with few trials


def conditional(trial):
    """Parameters that some trials lack, a range that grows, pruned trials."""
    kind = trial.suggest_categorical("kind", ("a", "b", "c"))
    value = trial.suggest_float("rate", 1e-5, 1, log=True)
    if kind == "a":
        value += trial.suggest_int("depth", 1, 8)
    elif kind == "b":
        value *= trial.suggest_float("share", 0, 1, step=0.25)
    value += trial.suggest_int("pool", 0, trial.number // 10 + 3) * 0.1
    if trial.number % 9 == 4:
        raise optuna.TrialPruned()
    return value


def front(trial):
    x, y, rate = trial.suggest_float("x", 0, 5), trial.suggest_float("y", 0, 3), trial.suggest_float("rate", 0.1, 1, log=True)
    return 4 * x**2 + 4 * y**2 + rate, -((x - 5) ** 2) - (y - 5) ** 2


STUDIES = {
    "flat": (space.objective, ["minimize"], 150),
    "upwards": (space.objective, ["maximize"], 97),
    "conditional": (conditional, ["minimize"], 120),
    "front": (front, ["minimize", "maximize"], 130),
}


def rate(trial):
    return trial.params["rate"]


def ask(study):
    """What Optuna says; what importance.lua asks lmopt."""
    importances = optuna.importance.get_param_importances
    return {
        "default": importances(study, evaluator=PedAnova()),
        "raw": importances(study, evaluator=PedAnova(), normalize=False),
        "quantiles": importances(study, evaluator=PedAnova(target_quantile=0.2, region_quantile=0.6), normalize=False),
        "ranges": importances(study, evaluator=PedAnova(evaluate_on_local=False)),
        "target": importances(study, evaluator=PedAnova(), target=rate),
    }


def compare(expected, found):
    assert set(expected) == set(found), (sorted(expected), sorted(found))
    far = {name: (value, found[name]) for name, value in expected.items() if not abs(value - found[name]) <= TOLERANCE}
    assert not far, far


def program(folder):
    path = os.path.join(folder, "importance.db")
    studies = {}
    for name, (objective, directions, trials) in STUDIES.items():
        sampler = optuna.samplers.RandomSampler(seed=1) if name == "front" else optuna.samplers.TPESampler(seed=3)
        studies[name] = optuna.create_study(study_name=name, storage=common.storage(path), directions=directions, sampler=sampler)
        studies[name].optimize(objective, n_trials=trials)
    said, _ = common.lmopt("run", "importance.lua", "--", path, cwd=folder)
    found = json.loads(said)
    assert set(found) == set(STUDIES)
    for name, study in studies.items():
        if FIVE:  # before, PED-ANOVA knew one range for each parameter, and one direction
            for key, expected in ask(study).items():
                with check("PED-ANOVA of the study '%s' (%s)" % (name, key)):
                    compare(expected, found[name][key])
    with check("the hypervolume of a front"):
        losses = numpy.array([(t.values[0], -t.values[1]) for t in studies["front"].trials])
        inside = losses[(losses < (100, 100)).all(axis=1)]
        expected = compute_hypervolume(inside, numpy.array([100.0, 100.0]))
        assert abs(found["front"]["volume"] / expected - 1) < 1e-12, (found["front"]["volume"], expected)


if __name__ == "__main__":
    common.main(program)
