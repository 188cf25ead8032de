"""What the measurements share: running programs, medians with their spread, rows of the table."""
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ["BUILD"]
WORK = os.path.join(BUILD, "bench")
LUA = os.environ.get("LUA", "lua5.4")
COMMAND = os.path.join(BUILD, "lmopt")

HEADER = ["what", "lmopt", "the other", "ratio", "the same in processor time", "mark", "met"]


def run(command, **options):
    result = subprocess.run(command, capture_output=True, text=True, **options)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def lua(script, *arguments):
    """The lines that a Lua script of this folder prints, under stock Lua with lmopt as a module."""
    environment = dict(os.environ, LUA_CPATH=os.path.join(BUILD, "?.so") + ";;")
    return run([LUA, os.path.join(HERE, script)] + [str(one) for one in arguments], env=environment).splitlines()


def python(script, *arguments):
    return run([sys.executable, os.path.join(HERE, script)] + [str(one) for one in arguments]).splitlines()


def named(lines, name):
    """The number of the line "NAME number"."""
    for line in lines:
        if line.startswith(name + " "):
            return float(line.split()[1])
    sys.exit(f"no line says '{name}'")


def path_of(name):
    return os.path.join(WORK, name)


def remove(path):
    for ending in ("", "-wal", "-shm", "-journal"):
        if os.path.exists(path + ending):
            os.remove(path + ending)


def copy(source, path):
    remove(path)
    shutil.copyfile(source, path)
    return path


def seconds_of(command):
    """The seconds that passed, and those of the processor."""
    def work():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    started, worked = time.perf_counter(), work()
    run(command)
    return time.perf_counter() - started, work() - worked


def spread(values, scale, digits, unit):
    """The median, and in brackets the least and the largest."""
    middle, low, high = (scale * one for one in (statistics.median(values), min(values), max(values)))
    return f"{middle:,.{digits}f} [{low:,.{digits}f}, {high:,.{digits}f}] {unit}"


class Mark:
    """What a figure has to be: at least or at most a number, or nothing."""

    def __init__(self, sign, number, unit):
        self.sign, self.number, self.unit = sign, number, unit

    def __str__(self):
        return f"{self.sign} {self.number:g}{self.unit}"

    def met(self, figure):
        return {">=": figure >= self.number, ">": figure > self.number, "<=": figure <= self.number, "<": figure < self.number}[self.sign]


def row(what, ours, theirs="", ratio="", processor="", mark=None, figure=None):
    """One row of the table; `figure` is what the mark is about."""
    verdict = "" if mark is None else "yes" if mark.met(figure) else "**no**"
    return [what, ours, theirs, ratio, processor, "" if mark is None else str(mark), verdict]


def as_table(rows):
    widths = [max(len(one[i]) for one in rows) for i in range(len(rows[0]))]
    lines = []
    for number, one in enumerate(rows):
        cells = [one[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(one[1:], widths[1:])]
        lines.append("| " + " | ".join(cells) + " |")
        if number == 0:
            lines.append("|" + "|".join("-" * (width + 1) + ("-" if i == 0 else ":") for i, width in enumerate(widths)) + "|")
    return "\n".join(lines)


def say(text):
    print(text, file=sys.stderr, flush=True)
