"""What every program of this folder prints: TAP, a line "ok" or "not ok" for every check."""

import contextlib
import sys
import traceback

counted = {"all": 0, "failed": 0}


@contextlib.contextmanager
def check(name):
    """One check: it fails when its block raises. Says more with the list it yields."""
    said = []
    problem = None
    try:
        yield said
    except Exception:  # a check that breaks is one that fails
        problem = traceback.format_exc()
    counted["all"] += 1
    print("%sok %d - %s%s" % ("not " if problem else "", counted["all"], name, ": " + said[0] if said else ""), flush=True)
    if problem:
        counted["failed"] += 1
        print("".join("# %s\n" % line for line in problem.rstrip().split("\n")), end="", flush=True)


def finish():
    """The plan, and the exit status."""
    print("1..%d" % counted["all"])
    sys.exit(1 if counted["failed"] else 0)
