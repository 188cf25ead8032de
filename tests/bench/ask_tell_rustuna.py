"""The time of ask + 10 suggest_float + tell in Rustuna: ask_tell_rustuna.py KIND FILE FIRST LAST SEED

KIND is "memory", "sqlite" or "journal"; FILE is where the last two keep the study, and is gone on with when it is there.
Grows the study with TPE up to LAST trials, and prints for each of those numbered FIRST to LAST - 1 the seconds that passed
and those of the processor. The sampler is Rustuna's TPE with joint parameters, as Optuna 5 and lmopt have by default.
"""
import sys
import time

import rustuna

NAMES = [f"x{i}" for i in range(1, 11)]


def make_storage(kind, path):
    if kind == "sqlite":
        return rustuna.storages.SQLite3Storage(path)
    if kind == "journal":
        return rustuna.storages.JournalFileStorage(path)
    return None


def one(study):
    started, worked = time.perf_counter(), time.process_time()
    trial = study.ask()
    total = 0.0
    for name in NAMES:
        total += trial.suggest_float(name, -5, 5) ** 2
    study.tell(trial.number, [total])
    return time.perf_counter() - started, time.process_time() - worked


def main(arguments):
    kind, path, first, last, seed = arguments[0], arguments[1], *map(int, arguments[2:])
    study = rustuna.create_study(study_name="bench", storage=make_storage(kind, path), load_if_exists=True,
                                 sampler=rustuna.samplers.TPESampler(seed=seed, multivariate=True))
    for number in range(len(study.trials), last):
        seconds, work = one(study)
        if number >= first:
            print(f"{seconds:.9f} {work:.9f}")


main(sys.argv[1:])
