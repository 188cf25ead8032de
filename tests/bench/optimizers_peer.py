"""DSPy's optimizers on a simulated model: optimizers_peer.py BASE_URL MODEL SEED LIMIT OPTIMIZER...

Prints a line of JSON for each. Options are DSPy's defaults but for the number of threads; its cache is in memory alone, and empty at
the start of each.
"""
import json
import logging
import os
import sys
import time
import urllib.request
import warnings

warnings.simplefilter("ignore")
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "sim"))
import data  # noqa: E402
import dspy  # noqa: E402
import numpy  # noqa: E402
import prompts  # noqa: E402
from typing import Literal  # noqa: E402

SIZES = {"train": 80, "val": 40, "test": 200}
MAX_DEMOS, NEAREST = 4, 3  # what BootstrapFewShotWithOptuna and KNNFewShot have no default for


class Learner(dspy.Signature):
    text: str = dspy.InputField()
    label: Literal["account", "billing", "delivery", "returns", "technical"] = dspy.OutputField()


class Judge(dspy.Signature):
    question: str = dspy.InputField()
    answer: str = dspy.InputField()
    verdict: Literal["right", "wrong"] = dspy.OutputField()


class Follower(dspy.Signature):
    record: str = dspy.InputField()
    line: str = dspy.OutputField()


PROGRAMS = {
    "learner": lambda: dspy.ChainOfThought(Learner),
    "judge": lambda: dspy.Predict(Judge),
    "follower": lambda: dspy.Predict(Follower),
}


def compiler(name, metric, sets, limit):
    """A function from a program to its compiled form."""
    train, val = sets["train"], sets["val"]
    if name == "labeled_few_shot":
        return lambda program: dspy.LabeledFewShot().compile(program, trainset=train)
    if name == "bootstrap_few_shot":
        return lambda program: dspy.BootstrapFewShot(metric=metric).compile(program, trainset=train)
    if name == "random_search":
        made = dspy.BootstrapFewShotWithRandomSearch(metric=metric, num_threads=limit)
        return lambda program: made.compile(program, trainset=train, valset=val)
    if name == "bayesian_few_shot":
        from dspy.teleprompt.teleprompt_optuna import BootstrapFewShotWithOptuna
        made = BootstrapFewShotWithOptuna(metric=metric, num_threads=limit)
        return lambda program: made.compile(program, max_demos=MAX_DEMOS, trainset=train, valset=val)
    if name == "knn_few_shot":
        embedder = dspy.Embedder(lambda texts: numpy.array([prompts.embed(text) for text in texts]))
        return lambda program: dspy.KNNFewShot(k=NEAREST, trainset=train, vectorizer=embedder, metric=metric).compile(program)
    sys.exit("no optimizer " + name)


def main(base, model, seed, limit, names):
    inputs, output = data.FIELDS[model][0], data.FIELDS[model][1][0]
    sets = {part: [dspy.Example(**row).with_inputs(*inputs) for row in data.make(model, part, seed, count)] for part, count in SIZES.items()}
    dspy.configure(lm=dspy.LM("openai/" + model, api_base=base + "/v1", api_key="none", temperature=0), num_threads=limit)

    def metric(example, prediction, trace=None):
        return getattr(example, output) == getattr(prediction, output)

    def count():
        with urllib.request.urlopen(base + "/count") as reply:
            return json.loads(reply.read())["requests"]

    evaluate = dspy.Evaluate(devset=sets["test"], metric=metric, num_threads=limit, display_progress=False)
    for name in names:
        dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=True)
        dspy.cache.reset_memory_cache()
        before, started = count(), time.perf_counter()
        best = compiler(name, metric, sets, limit)(PROGRAMS[model]())
        seconds, compiled = time.perf_counter() - started, count()
        started = time.perf_counter()
        score = evaluate(best).score / 100
        print(json.dumps({"score": round(score, 6), "calls": compiled - before, "test_calls": count() - compiled, "seconds": round(seconds, 3),
                          "test_seconds": round(time.perf_counter() - started, 3), "optimizer": name}), file=out, flush=True)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    # What it prints as it goes is not a result.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
