"""Optuna's half of two processes on a study at the same time: beside.py FILE TRIALS. It begins when FILE.go is there."""

import os
import sys
import time

import common
import optuna
import space


def objective(trial):
    p = space.suggest(trial)
    trial.set_user_attr("by", "Optuna")
    trial.report(p["x"], 1)
    return space.value(p)


path, trials = sys.argv[1], int(sys.argv[2])
study = common.load(path, "beside", sampler=optuna.samplers.TPESampler(seed=1))
print("ready", flush=True)
while not os.path.exists(path + ".go"):
    time.sleep(0.01)
study.optimize(objective, n_trials=trials)
print("done", flush=True)
