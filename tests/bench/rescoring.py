"""`lmopt run --rescore`: predictions a second under another metric, the whole process: its start, the script, reading, scoring and writing."""
import os
import shutil
import statistics

from tools import COMMAND, HERE, Mark, copy, path_of, remove, row, run, say, seconds_of, spread

ROUNDS = 7
PREDICTIONS = 200 * 1000
METRIC = "return function(example, prediction) return example.answer %s prediction.answer end\n"


def set_metric(folder, operator):
    with open(os.path.join(folder, "metric.lua"), "w", encoding="utf-8") as file:
        file.write(METRIC % operator)


def figures():
    folder = path_of("rescored")
    os.makedirs(folder, exist_ok=True)
    script = shutil.copy(os.path.join(HERE, "rescored.lua"), folder)
    made, path = path_of("rescored-made.db"), path_of("rescored.db")
    remove(made)
    set_metric(folder, "~=")
    command = [COMMAND, "run", "--quiet", script, "--storage"]
    run(command + [made])
    set_metric(folder, "==")
    pairs = []
    for _ in range(ROUNDS):
        copy(made, path)
        pairs.append(seconds_of(command + [path, "--rescore"]))
    assert "study 'rescored@2'" in run(command + [path]), "nothing was scored"
    remove(path)
    remove(made)
    passed, worked = ([PREDICTIONS / seconds for seconds in one] for one in zip(*pairs))
    say("rescoring done")
    return [row("predictions a second that `lmopt run --rescore` scores by exact match (200 trials of 1,000, the whole process)",
                spread(passed, 1, 0, "/s"), processor=f"{statistics.median(worked):,.0f} /s", mark=Mark(">=", 200000, " /s"),
                figure=statistics.median(passed))]
