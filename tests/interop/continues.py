"""Each continues what the other began, in turns."""

import os
import signal

import common
import optuna
import space
from common import FIVE, VERSION, check

EVERY = "every state: é日本"
WANTED = {"x": 0.5, "rate": 0.001, "quarter": 0.25, "tenth": 0.2, "count": 0, "units": 32, "depth": 2, "only": 3.0,
          "kind": '日本 "quoted"'}


def states(study):
    return [trial.state.name for trial in study.trials]


def finished(study):
    return sum(trial.state.is_finished() for trial in study.trials)


def run(folder, path, name, total, script="objective.lua", *more):
    """`lmopt run` until so many trials of the study have finished."""
    return common.lmopt("run", script, "--storage", path, "--study", name, "--trials", str(total), *more, cwd=folder)


def check_whole(path, name):
    common.check_integrity(path)
    study = common.compare(path, name)
    common.validate(study.trials)
    return study


# --- begun by lmopt ---


def optuna_takes_the_queue(path):
    """First the waiting trials, with the values that lmopt's user gave them; then its own TPE's."""
    study = common.load(path, EVERY, sampler=optuna.samplers.TPESampler(seed=1, n_startup_trials=5))
    before = len(study.trials)
    waiting = [trial.number for trial in study.trials if trial.state.name == "WAITING"]
    assert waiting == [17, 18]
    study.optimize(space.objective, n_trials=10)
    trials = study.trials
    assert len(trials) == before + 8 and states(study)[17:] == ["COMPLETE"] * 10, states(study)
    common.same(WANTED, trials[17].params, "the queued values")
    assert trials[17].user_attrs == {"queued": "all"} and trials[18].user_attrs == {"queued": "some"}
    assert trials[18].params["x"] == -0.25 and trials[18].params["kind"] is None
    assert trials[17].value == space.value(WANTED)


def lmopt_continues(folder, path):
    before = common.load(path, EVERY).trials
    said, errors = run(folder, path, EVERY, finished(common.load(path, EVERY)) + 10)
    after = check_whole(path, EVERY).trials
    assert len(after) == len(before) + 10
    for a, b in zip(before, after):
        assert repr(a) == repr(b), (a, b)  # NaN is not equal to itself
    assert all(trial.state.name == "COMPLETE" and len(trial.params) == 9 for trial in after[len(before):])
    for trial in after[len(before):]:  # both compute the same of the same parameters
        assert abs(trial.value - space.value(trial.params)) < 1e-12 * max(1, abs(trial.value)), trial


def in_turns(folder, path):
    for turn in range(3):
        study = common.load(path, EVERY, sampler=optuna.samplers.TPESampler(seed=turn))
        study.optimize(space.objective, n_trials=3)
        run(folder, path, EVERY, finished(study) + 3)
    check_whole(path, EVERY)


def several_directions(folder, path):
    """Constraints from both sides: a list in 4, a name each in 5."""

    def violation(trial):  # 4 asks for it of lmopt's trials too, so it can't depend on what only its own objective leaves
        return (trial.params["x"] - 5) ** 2 + trial.params["y"] ** 2 - 25

    def objective(trial):
        x, y = trial.suggest_float("x", 0, 5), trial.suggest_float("y", 0, 3)
        if FIVE:
            trial.set_constraint("circle", violation(trial))
        return 4 * x**2 + 4 * y**2, -((x - 5) ** 2) - (y - 5) ** 2

    more = {} if FIVE else {"constraints_func": lambda trial: (violation(trial),)}
    study = common.load(path, "pareto", sampler=optuna.samplers.TPESampler(seed=2, **more))
    study.optimize(objective, n_trials=20)
    assert all(len(common.constraints_of(trial)) == 1 for trial in study.trials[60:])
    assert ("constraints:circle" if FIVE else "constraints") in study.trials[60].system_attrs
    run(folder, path, "pareto", finished(study) + 20, "pareto.lua")
    study = common.load(path, "pareto")
    assert len(study.trials) == 100 and states(study).count("COMPLETE") == 99
    common.check_integrity(path)
    common.validate(study.trials)
    # lmopt's own trials 0 to 59: trial 11 failed before it had values. All others have constraints, so all agree on the front.
    common.compare(path, "pareto")
    return "%d of 100 on the front" % len(study.best_trials)


def killed_in_the_middle(folder, path, process):
    """A trial that ran in a process that is dead: Optuna lets it be, lmopt runs it again."""
    process.send_signal(signal.SIGKILL)
    process.wait(common.PATIENCE)
    study = common.load(path, "running", sampler=optuna.samplers.TPESampler(seed=3))
    assert states(study) == ["COMPLETE", "COMPLETE", "RUNNING"]
    before = study.trials[2].params
    study.optimize(space.objective, n_trials=2)
    assert states(study) == ["COMPLETE", "COMPLETE", "RUNNING", "COMPLETE", "COMPLETE"]
    run(folder, path, "running", 6)
    study = check_whole(path, "running")
    assert states(study) == ["COMPLETE"] * 6, states(study)
    common.same(before, study.trials[2].params, "the parameters of the interrupted trial")
    assert study.trials[2].intermediate_values == {}, "reports of the first attempt"


# --- begun by Optuna ---


def begin_by_optuna(path):
    """A file that Optuna made: pruned and failed trials, one that runs, two in the queue."""
    study = optuna.create_study(study_name="theirs", storage=common.storage(path), direction="minimize",
                                sampler=optuna.samplers.TPESampler(seed=4))
    study.set_user_attr("origin", "Optuna %s" % VERSION)
    study.set_metric_names(["loss"])

    def objective(trial):
        value = space.objective(trial)
        trial.report(value, 1)
        if trial.number == 3:
            raise optuna.TrialPruned()
        if trial.number == 4:
            raise ValueError("it broke")
        if trial.number == 5:
            return float("nan")
        if trial.number == 6:
            return float("inf")
        return value

    study.optimize(objective, n_trials=15, catch=(ValueError,))
    running = study.ask()
    running.suggest_float("x", -5, 5)
    study.enqueue_trial(WANTED, user_attrs={"queued": "all"})
    study.enqueue_trial({"x": 1.0}, user_attrs={"queued": "some"})
    return study


def continue_theirs(folder, path):
    study = begin_by_optuna(path)
    before = study.trials
    assert states(study).count("RUNNING") == 1 and states(study)[-2:] == ["WAITING", "WAITING"]
    common.compare(path, "theirs")
    run(folder, path, "theirs", 15 + 1 + 12)  # the running trial counts: it is somebody's to finish
    study = check_whole(path, "theirs")
    trials = study.trials
    assert len(trials) == 15 + 1 + 12
    for a, b in zip(before[:16], trials):
        assert repr(a) == repr(b), (a, b)
    assert trials[15].state.name == "RUNNING", "Optuna's running trial was touched"
    common.same(WANTED, trials[16].params, "the queued values")
    assert trials[17].params["x"] == 1.0 and trials[16].user_attrs == {"queued": "all"}
    study = common.load(path, "theirs", sampler=optuna.samplers.TPESampler(seed=5))
    study.tell(15, 0.5)
    study.optimize(space.objective, n_trials=5)
    trials = check_whole(path, "theirs").trials
    assert len(trials) == 33 and trials[15].value == 0.5


def live_study(folder, path):
    """An Optuna process that has read the trials before sees those that lmopt adds; and lmopt's best is Optuna's."""
    study = common.load(path, "theirs", sampler=optuna.samplers.TPESampler(seed=6))
    for turn in range(3):
        count = len(study.trials)
        run(folder, path, "theirs", finished(study) + 4)
        assert len(study.trials) == count + 4
        study.optimize(space.objective, n_trials=2)
        assert [trial.number for trial in study.trials] == list(range(count + 6))
        assert common.snapshot(path)["theirs"]["best"] == study.best_trial.number
    check_whole(path, "theirs")


def other_samplers(folder, path):
    """Trials by lmopt under Optuna's other samplers that need the history."""
    names = ["RandomSampler", "QMCSampler", "NSGAIISampler"]
    for index, name in enumerate(names):
        sampler = getattr(optuna.samplers, name)(seed=index)
        study = common.load(path, "theirs", sampler=sampler)
        study.optimize(space.objective, n_trials=5)
        run(folder, path, "theirs", finished(study) + 2)
    check_whole(path, "theirs")
    return ", ".join(names)


def program(folder):
    path, process = common.write_file(folder, keep_running=True)
    with check("Optuna takes the waiting trials first, then goes on with TPE"):
        optuna_takes_the_queue(path)
    with check("then lmopt goes on; Optuna's trials stay as they were, and both name the same best"):
        lmopt_continues(folder, path)
    with check("in turns"):
        in_turns(folder, path)
    with check("several directions with constraints of both: one front") as said:
        said.append(several_directions(folder, path))
    with check("a trial of a process that was killed: Optuna lets it be, lmopt runs it again"):
        killed_in_the_middle(folder, path, process)
    theirs = os.path.join(folder, "theirs.db")
    with check("lmopt continues a study that Optuna began, its queue first; its running trial is left alone"):
        continue_theirs(folder, theirs)
    with check("dates of both"):
        common.check_dates(theirs, "theirs")
    with check("an Optuna study that is open sees lmopt's new trials"):
        live_study(folder, theirs)
    with check("in turns with other samplers") as said:
        said.append(other_samplers(folder, theirs))


common.main(program)
