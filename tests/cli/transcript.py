"""Runs a transcript of the command line: transcript.py LMOPT FILE.t

A transcript is prose with indented shell sessions in it. Each paragraph of
prose that has commands below it is one test:

    A misspelt option is named, with the near miss.

      $ lmopt run objective.lua --trails 3
      lmopt: unknown option --trails (did you mean --trials?)
      try 'lmopt run --help'
      [2]

`  > ` continues a command (here documents), `[2]` is the exit status (0 when
it is not shown). Standard output and standard error come as one. A line that
ends in ` (glob)` may hold `*` and `?`; ` (re)` makes it a regular expression;
a line `...` stands for any number of lines. Each file runs in one shell, in a
fresh folder; `lmopt` is the program under test. What comes out is TAP.
"""

import fnmatch
import os
import re
import subprocess
import sys
import tempfile

TIMEOUT = 120  # seconds for a whole file
MARK = "=== transcript %s status"


def parse(path):
    """[(title, [(command, expected lines, line number)])]"""
    tests, title, fresh = [], "", True
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if line.startswith("  $ "):
                if fresh:
                    tests.append((title, []))
                    fresh = False
                tests[-1][1].append([line[4:], [], number])
            elif line.startswith("  > ") and not fresh:
                tests[-1][1][-1][0] += "\n" + line[4:]
            elif line.startswith("  ") and not fresh:
                tests[-1][1][-1][1].append(line[2:])
            elif line.strip():
                title = line.strip() if fresh is False or not title else title + " " + line.strip()
                fresh = True
    return tests


def same(expected, line):
    if expected.endswith(" (glob)"):
        return fnmatch.fnmatchcase(line, expected[:-7].replace("[", "[[]"))
    if expected.endswith(" (re)"):
        return re.fullmatch(expected[:-5], line) is not None
    return expected == line


def matches(expected, lines):
    if not expected:
        return not lines
    if expected[0] == "...":
        return any(matches(expected[1:], lines[i:]) for i in range(len(lines) + 1))
    return bool(lines) and same(expected[0], lines[0]) and matches(expected[1:], lines[1:])


def run(tests, program, folder):
    """The output of every command, in one shell."""
    mark = MARK % os.urandom(8).hex()
    script = "exec 2>&1\n"
    for _, commands in tests:
        for command, _, _ in commands:
            script += command + "\necho \"\n" + mark + " $?\"\n"
    os.mkdir(os.path.join(folder, "bin"))
    os.symlink(program, os.path.join(folder, "bin", "lmopt"))
    os.mkdir(os.path.join(folder, "here"))
    environment = dict(
        os.environ,
        PATH=os.path.join(folder, "bin") + os.pathsep + os.environ["PATH"],
        HOME=folder,
        XDG_CACHE_HOME=os.path.join(folder, "cache"),
        REPOSITORY=os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
    )
    environment.pop("LMOPT_CACHE", None)
    shell = subprocess.Popen(
        ["sh"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=os.path.join(folder, "here"),
        env=environment,
    )
    try:
        output, _ = shell.communicate(script.encode(), TIMEOUT)
    except subprocess.TimeoutExpired:
        shell.kill()
        output, _ = shell.communicate()
    output = output.decode("utf-8", "replace").replace(folder + "/here/", "")
    blocks, current = [], []
    for line in output.split("\n"):
        if line.startswith(mark):
            # The mark stands on a line of its own: echo put a newline before it.
            if current and current[-1] == "":
                current.pop()
            blocks.append((current, int(line.split()[-1])))
            current = []
        else:
            current.append(line)
    return blocks


def main():
    program, path = os.path.abspath(sys.argv[1]), sys.argv[2]
    tests = parse(path)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="lmopt-cli-") as folder:
        blocks = run(tests, program, os.path.realpath(folder))
    print("1..%d" % len(tests))
    index = 0
    for number, (title, commands) in enumerate(tests, 1):
        problems = []
        for command, expected, line in commands:
            if index >= len(blocks):
                problems.append("%s:%d: $ %s\nnever ended" % (path, line, command))
                break
            lines, status = blocks[index]
            index += 1
            got = lines + (["[%d]" % status] if status != 0 else [])
            if not matches(expected, got):
                problems.append(
                    "%s:%d: $ %s\nexpected:\n%s\ngot:\n%s"
                    % (path, line, command, "\n".join("  " + e for e in expected), "\n".join("  " + g for g in got))
                )
        print("%sok %d - %s" % ("not " if problems else "", number, title))
        for problem in problems:
            failed += 1
            print("".join("# " + text + "\n" for text in problem.split("\n")), end="")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
