"""One parameter of each kind, as in space.lua."""

import math

CHOICES = (None, True, False, 7, 2.5, "relu", "", '日本 "quoted"')


def suggest(trial):
    return {
        "x": trial.suggest_float("x", -5, 5),
        "rate": trial.suggest_float("rate", 1e-5, 0.1, log=True),
        "quarter": trial.suggest_float("quarter", 0, 1, step=0.25),
        "tenth": trial.suggest_float("tenth", -0.3, 0.9, step=0.1),
        "count": trial.suggest_int("count", -3, 3),
        "units": trial.suggest_int("units", 16, 128, step=16),
        "depth": trial.suggest_int("depth", 1, 64, log=True),
        "only": trial.suggest_float("only", 3, 3),
        "kind": trial.suggest_categorical("kind", CHOICES),
    }


def value(p):
    bonus = 0 if p["kind"] == "relu" else 1
    return (p["x"] ** 2 + (math.log10(p["rate"]) + 3) ** 2 + p["quarter"] + p["tenth"] + abs(p["count"])
            + p["units"] / 128 + p["depth"] / 64 + bonus)


def objective(trial):
    return value(suggest(trial))
