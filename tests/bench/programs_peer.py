"""DSPy's programs on its DummyLM: programs_peer.py predict COUNT | first | waiting

`predict` and `first` do what programs.lua does, `waiting` what evaluate.lua does; all print the same lines.
"""
import logging
import resource
import sys
import time
import warnings

warnings.simplefilter("ignore")
import dspy  # noqa: E402
from dspy.utils import DummyLM  # noqa: E402

CONTEXT = "France is a country in Europe, and its capital is Paris."


class Slow(DummyLM):
    """A model that takes 50 ms."""

    def forward(self, *arguments, **options):
        time.sleep(0.05)
        return super().forward(*arguments, **options)


def ask(qa, first, last):
    for i in range(first, last + 1):
        prediction = qa(question=f"What is the capital of France, asked for the {i}th time?", context=CONTEXT)
        assert prediction.answer == "Paris"


def predict(count, warm):
    dspy.configure(lm=DummyLM([{"answer": "Paris"}] * (count + warm)))
    qa = dspy.Predict("question, context -> answer")
    ask(qa, 1 - warm, 0)
    return measure(lambda: ask(qa, 1, count), count)


def waiting():
    count = 2000
    dspy.configure(lm=Slow([{"answer": "1"}] * count))
    dataset = [dspy.Example(question=f"What is {i}?", answer="1").with_inputs("question") for i in range(count)]
    evaluate = dspy.Evaluate(devset=dataset, metric=lambda example, prediction, trace=None: example.answer == prediction.answer,
                             num_threads=200, display_progress=False)
    result = []
    measure(lambda: result.append(evaluate(dspy.Predict("question -> answer"))), count)
    assert result[0].score == 100


def measure(work, count):
    passed, worked = time.perf_counter(), time.process_time()
    work()
    passed, worked = time.perf_counter() - passed, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"calls {count}\nseconds {passed:.6f}\nwork {worked:.6f}\npeak {peak}", flush=True)


logging.disable(logging.CRITICAL)
how = sys.argv[1]
if how == "waiting":
    waiting()
else:
    number = int(sys.argv[2]) if how == "predict" else 1
    predict(number, number // 10)
