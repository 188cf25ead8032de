"""What needs a terminal or signals: test_terminal.py LMOPT. Prints TAP."""

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unicodedata

LMOPT = os.path.abspath(sys.argv[1])

SLOW = """
local lmopt = require "lmopt"
return function(trial)
  lmopt.sleep(0.02)
  return trial:suggest_float("x", 0, 1)
end
"""

SPINNING = """
return function(trial)
  local x = trial:suggest_float("x", 0, 1)
  if trial.number == 2 then
    io.stderr:write "spinning\\n"
    while true do x = x + 1 end
  end
  return x
end
"""


def on_terminal(arguments, folder, columns=80, all_on_it=False):
    """Runs lmopt with standard error on a terminal (or all its output); what it wrote there, and its status."""
    leader, follower = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    stdout = follower if all_on_it else subprocess.PIPE
    process = subprocess.Popen([LMOPT] + arguments, cwd=folder, stdout=stdout, stderr=follower)
    watchdog = threading.Timer(60, process.kill)  # nobody reads from a run that hangs for ever
    watchdog.start()
    os.close(follower)
    text = b""
    while True:
        try:
            data = os.read(leader, 65536)
        except OSError:
            break
        if not data:
            break
        text += data
    os.close(leader)
    output = "" if all_on_it else process.stdout.read().decode()
    status = process.wait(60)
    watchdog.cancel()
    return text.decode("utf-8"), output, status


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(text)


def bar_is_drawn_and_taken_away(folder):
    write(folder, "slow.lua", SLOW)
    shown, output, status = on_terminal(["run", "slow.lua", "--trials", "40", "--seed", "1"], folder)
    assert status == 0, (status, shown)
    frames = [f for f in shown.split("\r\x1b[K") if "trials" in f and "█" in f]
    assert len(frames) >= 3, shown
    assert re.search(r"█+░+ \d+/40 trials · best [\d.e-]+ · \d+ s left", frames[1]), frames
    counts = [int(re.search(r"(\d+)/40", f).group(1)) for f in frames]
    assert counts == sorted(counts) and counts[-1] == 40, counts
    last = shown.rsplit("\r\x1b[K", 1)[1]
    assert "█" not in last and "/40" not in last, last
    assert output.startswith("study 'slow': 40 trials, 40 complete"), output


def bar_fits_a_narrow_terminal(folder):
    write(folder, "slow.lua", SLOW)
    shown, _, status = on_terminal(["run", "slow.lua", "--trials", "20"], folder, columns=30)
    assert status == 0
    frames = [f.split("\r\n")[0] for f in shown.split("\r\x1b[K")[1:]]
    frames = [f for f in frames if "/20" in f]
    assert frames and all(len(f) < 30 for f in frames), frames


def quiet_shows_no_bar(folder):
    write(folder, "slow.lua", SLOW)
    shown, _, status = on_terminal(["run", "slow.lua", "--trials", "5", "--quiet"], folder)
    assert status == 0 and shown == "", shown


def no_bar_without_a_terminal(folder):
    write(folder, "slow.lua", SLOW)
    done = subprocess.run([LMOPT, "run", "slow.lua", "--trials", "5"], cwd=folder, capture_output=True, timeout=60)
    assert done.returncode == 0
    assert b"\x1b" not in done.stderr and b"\r" not in done.stderr, done.stderr


def interrupt(folder, script, arguments, wait_for):
    """Starts a run, sends SIGINT once `wait_for(folder)` holds; its status and what it said."""
    write(folder, "script.lua", script)
    process = subprocess.Popen(
        [LMOPT, "run", "script.lua"] + arguments, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    for _ in range(600):
        if wait_for() or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output.decode(), errors.decode()


def finished(folder, name="study.db"):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return 0
    done = subprocess.run(
        ["sqlite3", "-readonly", path, "select count(*) from trials where state = 'COMPLETE'"], capture_output=True, text=True
    )
    return int(done.stdout or 0) if done.returncode == 0 else 0


def interrupt_stores_what_is_finished(folder):
    status, output, errors = interrupt(
        folder, SLOW, ["--trials", "100000", "--storage", "study.db", "--jobs", "4"], lambda: finished(folder) >= 5
    )
    assert status == 130, (status, errors)
    assert "interrupted" in errors.splitlines()[-2] + errors.splitlines()[-1], errors
    before = finished(folder)
    assert before >= 5, before
    check = subprocess.run(
        ["sqlite3", os.path.join(folder, "study.db"), "pragma integrity_check", "select count(*) from trials where state = 'RUNNING'"],
        capture_output=True,
        text=True,
    )
    assert check.stdout.split() == ["ok", "0"], check.stdout
    # Run again, it goes on: nothing lost, nothing twice.
    total = before + 6
    done = subprocess.run(
        [LMOPT, "run", "script.lua", "--trials", str(total), "--storage", "study.db", "--jobs", "4"],
        cwd=folder, capture_output=True, text=True, timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("study 'script': %d trials, %d complete" % (total, total)), done.stdout


def interrupt_ends_a_loop_of_the_scripts(folder):
    started = time.monotonic()
    status, _, errors = interrupt(
        folder, SPINNING, ["--trials", "10", "--storage", "study.db"], lambda: finished(folder) >= 2 and time.sleep(0.2) is None
    )
    assert status == 130, (status, errors)
    assert time.monotonic() - started < 50
    assert finished(folder) == 2


def interrupt_in_memory(folder):
    begun = time.monotonic()
    status, _, errors = interrupt(folder, SLOW, ["--trials", "100000"], lambda: time.monotonic() - begun > 0.5)
    assert status == 130, (status, errors)


CHATTY = """
local lmopt = require "lmopt"
return function(trial)
  print("printed", trial.number)
  lmopt.sleep(0.03)
  io.write("writ", "ten ", trial.number, "\\n")
  lmopt.sleep(0.03)
  io.stderr:write("warned ", trial.number, "\\n")
  io.stdout:write("half ")
  lmopt.sleep(0.2)
  io.stdout:write("whole\\n")
  if trial.number % 2 == 1 then error "odd" end
  return trial:suggest_float("x", 0, 1)
end
"""


class Screen:
    """What a terminal shows: lines, carriage returns, and erasing to the end of the line."""

    def __init__(self, text):
        self.lines, self.seen = [""], []
        column = 0
        for part in re.findall(r"\r|\n|\x1b\[K|[^\r\n\x1b]+", text):
            if part == "\r":
                column = 0
            elif part == "\n":
                self.lines.append("")
                column = 0
            elif part == "\x1b[K":
                self.lines[-1] = self.lines[-1][:column]
            else:
                line = self.lines[-1]
                self.lines[-1] = line[:column] + part + line[column + len(part) :]
                column += len(part)
            self.seen.append(self.lines[-1])


def what_scripts_print_and_the_bar_keep_apart(folder):
    write(folder, "chatty.lua", CHATTY)
    shown, _, status = on_terminal(["run", "chatty.lua", "--trials", "6", "--seed", "1"], folder, all_on_it=True)
    assert status == 0, (status, shown)
    screen = Screen(shown)
    torn = [line for line in screen.seen if "trials ·" in line and not line.startswith(("█", "░"))]
    assert not torn, torn
    assert sum("trials ·" in line for line in screen.seen) > 6, shown  # and there is a bar
    for number in range(6):
        for line in "printed\t%d", "written %d", "warned %d":
            assert line % number in screen.lines, (line % number, screen.lines)
    assert screen.lines.count("half whole") == 6, screen.lines
    assert "trial 1 failed: chatty.lua:12: odd" in screen.lines and "... and 2 more like trial 1" in screen.lines, screen.lines
    assert not any("█" in line or "░" in line for line in screen.lines), screen.lines


def the_bar_of_a_scripts_own_study_keeps_apart_too(folder):
    write(folder, "own.lua", """
local lmopt = require "lmopt"
lmopt.create_study { seed = 1 }:optimize(function(trial)
  lmopt.sleep(0.1)
  print("trial", trial.number)
  lmopt.sleep(0.1)
  return trial:suggest_float("x", 0, 1)
end, { n_trials = 6, progress = true })
""")
    shown, _, status = on_terminal(["run", "own.lua"], folder, all_on_it=True)
    assert status == 0, (status, shown)
    screen = Screen(shown)
    assert any(re.search("[█░] [1-5]/6 trials", line) for line in screen.seen), shown
    assert [line for line in screen.lines if line] == ["trial\t%d" % number for number in range(6)], screen.lines


def mistakes_of_a_print_have_the_scripts_line(folder):
    write(folder, "wrong.lua", "\nio.write({})\n")
    shown, _, status = on_terminal(["run", "wrong.lua"], folder, all_on_it=True)
    assert status == 1 and "wrong.lua:2: bad argument #1 to 'write' (string expected, got table)" in shown, shown
    write(folder, "wrong.lua", "\nio.stdout:write('a', nil)\n")
    shown, _, status = on_terminal(["run", "wrong.lua"], folder, all_on_it=True)
    assert status == 1 and "wrong.lua:2: bad argument #2 to 'write' (string expected, got nil)" in shown, shown


def tables_fit_a_narrow_terminal(folder):
    write(folder, "wide.lua", """
return { storage = "wide.db", trials = 30, seed = 1, objective = function(trial)
  trial:set_user_attr("note", ("word "):rep(50))
  trial:suggest_categorical("choice", { ("long "):rep(30), ("日本"):rep(30) })
  return trial:suggest_float("a parameter with a name", 0, 1)
end }
""")
    for arguments in ["run", "wide.lua"], ["study", "show", "wide.db"], ["study", "best", "wide.db"]:
        shown, _, status = on_terminal(arguments, folder, columns=40, all_on_it=True)
        assert status == 0, (status, shown)
        lines = [line for line in Screen(shown).lines if line.startswith("  ")]
        widths = [sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line) for line in lines]
        assert lines and max(widths) <= 40, list(zip(widths, lines))


TESTS = [
    bar_is_drawn_and_taken_away,
    bar_fits_a_narrow_terminal,
    quiet_shows_no_bar,
    no_bar_without_a_terminal,
    what_scripts_print_and_the_bar_keep_apart,
    the_bar_of_a_scripts_own_study_keeps_apart_too,
    mistakes_of_a_print_have_the_scripts_line,
    tables_fit_a_narrow_terminal,
    interrupt_stores_what_is_finished,
    interrupt_ends_a_loop_of_the_scripts,
    interrupt_in_memory,
]


def main():
    failed = 0
    print("1..%d" % len(TESTS))
    for number, test in enumerate(TESTS, 1):
        with tempfile.TemporaryDirectory(prefix="lmopt-cli-") as folder:
            try:
                test(folder)
                problem = None
            except Exception as error:  # a test that breaks is one that fails
                problem = "%s: %s" % (type(error).__name__, error)
        print("%sok %d - %s" % ("not " if problem else "", number, test.__name__.replace("_", " ")))
        if problem:
            failed += 1
            print("".join("# %s\n" % line for line in problem.split("\n")), end="", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
