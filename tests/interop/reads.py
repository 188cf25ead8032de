"""Optuna reads what lmopt wrote, while lmopt still writes it."""

import collections
import os

import common
import optuna
from common import FIVE, check

NAMES = ("every state: é日本", "pareto", "curves", "running")


def check_coverage(path):
    """That the file has what it is there for."""
    trials = common.load(path, NAMES[0]).get_trials(deepcopy=False) + common.load(path, "running").get_trials(deepcopy=False)
    states = collections.Counter(trial.state.name for trial in trials)
    assert set(states) == set(common.STATES), states
    kinds = {type(trial.params["kind"]) for trial in trials if "kind" in trial.params}
    assert kinds == {type(None), bool, int, float, str}, kinds
    drawn = [trial.distributions for trial in trials if len(trial.params) == 9][0]
    assert {type(d).__name__ for d in drawn.values()} == {"FloatDistribution", "IntDistribution", "CategoricalDistribution"}
    reports = {repr(value) for trial in trials for value in trial.intermediate_values.values()}
    assert {"inf", "-inf", "nan"} <= reports, reports
    pruned = [trial.values for trial in trials if trial.state.name == "PRUNED"]
    assert [2.5] in pruned and [float("inf")] in pruned and None in pruned, pruned
    return ", ".join("%d %s" % (count, common.STATES[state]) for state, count in sorted(states.items()))


def check_attributes(path):
    """Lists stay lists, empty ones too; numbers keep their kind."""
    study = common.load(path, NAMES[0])
    common.same({"dataset": "blobs, 3 %", "sizes": {"train": 100, "test": 20.5}}, study.user_attrs, "of the study")
    nested = {"list": [1, 2.5, "three", None, True], "empty": [], "text": 'a\n"b"'}
    common.same({"note": "Größe 日本", "nested": nested, "big": 9007199254740991}, study.trials[1].user_attrs, "of a trial")


def check_feasible(path):
    """Of trials with constraints and without in one study, Optuna 4 takes those without for infeasible."""
    study = common.load(path, NAMES[0])
    best = min((t for t in study.trials if t.state.name == "COMPLETE" and t.number != 3), key=lambda t: t.value)
    assert common.snapshot(path)[NAMES[0]]["best_trials"] == [best.number]
    assert not common.constraints_of(best)
    assert common.constraints_of(study.trials[3]) == [12.5, -1] and common.constraints_of(study.trials[4]) == [0, -0.125]
    assert common.numbers(study.best_trials) == ([best.number] if FIVE else [4]), common.numbers(study.best_trials)
    if FIVE:
        assert study.trials[3].constraints == {"0": 12.5, "1": -1.0}  # the names are lmopt's own attribute
    assert study.trials[3].system_attrs["lmopt:constraint_names"] == ["memory", "latency"]


def check_running(path):
    """The trial that lmopt is in the middle of."""
    study = common.load(path, "running")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "RUNNING"]
    trial = study.trials[2]
    assert trial.intermediate_values == {1: 1.5, 2: 0.5}, trial.intermediate_values
    assert len(trial.params) == 9, trial.params
    trial._validate()


def check_not_touched(path):
    """Reading changes nothing: not the rows, not the version that Optuna compares."""
    assert optuna.storages.RDBStorage(common.storage(path)).get_current_version() == "v3.2.0.a"
    common.check_integrity(path)


def same_but_ids(trials, copies):
    assert len(trials) == len(copies)
    for trial, copy in zip(trials, copies):
        copy._trial_id = trial._trial_id
        assert repr(trial) == repr(copy), (trial, copy)


def program(folder):
    path, process = common.write_file(folder, keep_running=True)
    with check("the file has every state, distribution and kind of number") as said:
        said.append(check_coverage(path))
    with check("a trial that runs in lmopt now"):
        check_running(path)
    with check("all studies are listed"):
        found = optuna.get_all_study_summaries(common.storage(path))
        assert sorted(summary.study_name for summary in found) == sorted(NAMES), found
        assert {s.study_name: s.n_trials for s in found} == {NAMES[0]: 19, "pareto": 60, "curves": 80, "running": 3}
    for name in NAMES:
        with check("%s: equal to lmopt's export, field by field, and best trials" % name) as said:
            said.append("%d trials" % len(common.compare(path, name).trials))
        with check("%s: every trial is valid" % name):
            common.validate(common.load(path, name).trials)
        with check("%s: copied by Optuna into a file of its own" % name):
            study = common.load(path, name)
            optuna.copy_study(from_study_name=name, from_storage=common.storage(path), to_storage=common.storage(path + ".copy"))
            same_but_ids(study.trials, common.load(path + ".copy", name).trials)
    with check("attributes as they were given"):
        check_attributes(path)
    with check("constraints: %s" % ("in order, without names" if FIVE else "trials without them count as infeasible")):
        check_feasible(path)
    with check("dates: %s" % ("UTC" if FIVE else "UTC, taken for local time")):
        common.check_dates(path, "curves")
    with check("nothing was changed by reading"):
        check_not_touched(path)
    with check("lmopt goes on undisturbed"):
        open(path + ".go", "w").close()
        rest = process.stdout.read()
        assert process.wait(common.PATIENCE) == 0, rest
        assert [trial.state.name for trial in common.load(path, "running").trials] == ["COMPLETE"] * 3
        assert not os.path.exists(path + "-journal")


common.main(program)
