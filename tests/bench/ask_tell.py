"""The time of ask + 10 suggest_float + tell in Optuna: ask_tell.py grow FILE COUNT | fill DATABASE FILE |
measure STORAGE FILE MODE WARM COUNT SEED

grow: COUNT trials of TPE in memory, pickled into FILE. fill: those trials into an SQLite file. measure: goes on from them
(STORAGE "memory": read from FILE), WARM trials that do not count, then COUNT trials: the seconds that passed and
those of the processor. MODE is "default", or "wal" for a write-ahead log with synchronous = NORMAL.
"""
import pickle
import sys
import time
import warnings

import optuna
import sqlalchemy

NAMES = [f"x{i}" for i in range(1, 11)]


def make_sampler(seed):
    """Version 5 has these as defaults; version 4.9 knows them by the same names."""
    if int(optuna.__version__.split(".")[0]) >= 5:
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)


def one(study):
    started, worked = time.perf_counter(), time.process_time()
    trial = study.ask()
    total = 0.0
    for name in NAMES:
        total += trial.suggest_float(name, -5, 5) ** 2
    study.tell(trial, total)
    return time.perf_counter() - started, time.process_time() - worked


def set_wal(connection, _record):
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if connection.execute("PRAGMA synchronous").fetchone()[0] != 1:
        sys.exit("synchronous = NORMAL was not accepted")


def check_full(connection, _record):
    if connection.execute("PRAGMA synchronous").fetchone()[0] != 2:
        sys.exit("SQLite's default is not synchronous = FULL here")


def read(path):
    with open(path, "rb") as file:
        return pickle.load(file)


def main(arguments):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    command = arguments[0]
    if command == "grow":
        study = optuna.create_study(sampler=make_sampler(1))
        for _ in range(int(arguments[2])):
            one(study)
        with open(arguments[1], "wb") as file:
            pickle.dump(study.trials, file)
    elif command == "fill":
        sqlalchemy.event.listen(sqlalchemy.engine.Engine, "connect", set_wal)  # quicker; the file is changed back below
        study = optuna.create_study(study_name="bench", storage="sqlite:///" + arguments[1])
        study.add_trials(read(arguments[2]))
    else:
        storage, source, mode, warm, count, seed = arguments[1:]
        sqlalchemy.event.listen(sqlalchemy.engine.Engine, "connect", set_wal if mode == "wal" else check_full)
        if storage == "memory":
            study = optuna.create_study(sampler=make_sampler(int(seed)))
            study.add_trials(read(source))
        else:
            study = optuna.load_study(study_name="bench", storage="sqlite:///" + storage, sampler=make_sampler(int(seed)))
        for _ in range(int(warm)):
            one(study)
        for _ in range(int(count)):
            seconds, work = one(study)
            print(f"{seconds:.9f} {work:.9f}")


main(sys.argv[1:])
