"""Subsets and orders: what Optuna sees of them, and what lmopt makes of the trials that Optuna adds."""

import json
import os

import common
import optuna
from common import check

ITEMS, STAGES = ["a", 'b "q"', "ü[x]", 4, True], ["draft", "check", 3]
BOOLEANS = optuna.distributions.CategoricalDistribution([False, True])
KEYS = optuna.distributions.FloatDistribution(0, 1)


def text(item):
    return item if isinstance(item, str) else json.dumps(item)


def run(folder, path, total):
    common.lmopt("run", "structured.lua", "--storage", path, "--study", "whole", "--trials", str(total), cwd=folder)


def chosen(params):
    return [item for item in ITEMS if params["tools[%s]" % text(item)]]


def ordered(params):
    return sorted(STAGES, key=lambda stage: params["stages[%s]" % text(stage)])


def look(path, bounded):
    """Every trial by its parameters, and as lmopt shows it."""
    trials = common.load(path, "whole").trials
    common.validate(trials)
    shown = common.export(path, "whole")["trials"]
    assert len(trials) == len(shown)
    for trial, other in zip(trials, shown):
        assert len(trial.params) == 1 + len(ITEMS) + len(STAGES), trial.params
        assert all(trial.distributions["tools[%s]" % text(item)] == BOOLEANS for item in ITEMS)
        assert all(trial.distributions["stages[%s]" % text(stage)] == KEYS for stage in STAGES)
        assert other["params"]["tools"] == chosen(trial.params) or not chosen(trial.params), (other, trial.params)
        assert other["params"]["stages"] == ordered(trial.params), (other, trial.params)
        assert set(other["params"]) == {"x", "tools", "stages"}, other
        if bounded(trial):
            assert 1 <= len(chosen(trial.params)) <= 3
            assert trial.user_attrs["tools"] == chosen(trial.params)
            assert trial.user_attrs["stages"] == ordered(trial.params)
    return trials


def objective(trial):
    for item in ITEMS:
        trial.suggest_categorical("tools[%s]" % text(item), [False, True])
    for stage in STAGES:
        trial.suggest_float("stages[%s]" % text(stage), 0, 1)
    return trial.suggest_float("x", 0, 1)


def program(folder):
    path = os.path.join(folder, "structured.db")
    with check("sees a boolean for each item, a float for each stage, and the whole in a user attribute"):
        run(folder, path, 20)
        assert len(look(path, lambda trial: True)) == 20
    with check("goes on with the study, a whole value enqueued among its trials") as said:
        study = common.load(path, "whole", sampler=optuna.samplers.TPESampler(seed=1, n_startup_trials=5))
        study.optimize(objective, n_trials=8)
        study.enqueue_trial({"tools": ["ü[x]", 4], "stages": [3, "draft", "check"], "x": 0.5})
        said.append("best %g" % study.best_value)
    with check("and lmopt after it: Optuna's trials are shown whole, its queue is run"):
        run(folder, path, 35)
        theirs = range(20, 28)
        trials = look(path, lambda trial: trial.number not in theirs)
        assert chosen(trials[28].params) == ["ü[x]", 4] and ordered(trials[28].params) == [3, "draft", "check"]
        assert trials[28].params["x"] == 0.5 and len(trials) == 35
    with check("and a copy that Optuna made"):
        copy = os.path.join(folder, "copy.db")
        optuna.copy_study(from_study_name="whole", from_storage=common.storage(path), to_storage=common.storage(copy))
        run(folder, copy, 38)
        assert len(common.load(copy, "whole").trials) == 38
        last = common.export(copy, "whole")["trials"][-1]["params"]
        assert 1 <= len(last["tools"]) <= 3 and len(last["stages"]) == 3, last


common.main(program)
