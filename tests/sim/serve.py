"""Starts a simulated model: serve.py learner|follower|judge [--port N] [--latency SECONDS] [--seed N] [--seconds N]

Prints the port that it listens on, 127.0.0.1 alone. It ends after POST /shutdown, when the process that started it is gone, and after
--seconds (600).
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import prompts  # noqa: E402
import server  # noqa: E402
from follower.model import Follower  # noqa: E402
from judge.model import Judge  # noqa: E402
from learner.model import Learner  # noqa: E402

MODELS = {one.name: one for one in (Learner, Follower, Judge)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="before each reply")
    parser.add_argument("--seed", type=int, default=0, help="another model of the same kind")
    parser.add_argument("--seconds", type=float, default=600, help="how long it serves at most")
    options = parser.parse_args()
    server.run(MODELS[options.model](options.seed), prompts.embed, options)
