"""Calls whose cache is locked, damaged, full of something else, or gone: each is answered, a warning says why, once, and no reply is wrong.

    BUILD=build cache_file.py [TEST...]
"""

import os
import random
import shutil
import sqlite3
import sys
import time

sys.dont_write_bytecode = True
import cache
import common
import files

SCRIPT = """
local lmopt = require "lmopt"
local model = lmopt.lm("openai/m", { base_url = os.getenv "FAULTS_SERVER", api_key = "none" })
local prompts, remove = {}, os.getenv "FAULTS_REMOVE"
for i = 1, %d do prompts[i] = os.getenv "FAULTS_WORD" .. " " .. i end
local answered = 0
lmopt.map(prompts, function(prompt)
  print(prompt .. ": " .. model(prompt).text)
  answered = answered + 1
  if remove and answered == 20 then os.remove(remove) end
end, { concurrency = 8 })
""" % cache.PROMPTS


class Place:
    """A server, and a cache in lmopt's own place, where it has been asked everything once with the word \"old\"."""

    def __init__(self, folder):
        self.folder, self.server = folder, cache.Server()
        common.write(os.path.join(folder, "ask.lua"), SCRIPT)
        self.home = os.path.join(folder, "home")
        self.path = common.lmopt("cache", "path", cwd=folder, env=self.environment("old"))[1].strip()
        assert self.path.startswith(self.home), self.path
        self.ask("old", cache.PROMPTS)

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.server.close()

    def environment(self, word, **more):
        return common.environment(LMOPT_CACHE=None, XDG_CACHE_HOME=self.home, FAULTS_SERVER=self.server.url, FAULTS_WORD=word, **more)

    def count(self):
        return sum(self.server.asked.values())

    def check(self, status, output, errors, word, warnings):
        assert status == 0, (status, output, errors)
        lines = output.split("\n")[:-1]
        wanted = sorted("%s %d" % (word, i) for i in range(1, cache.PROMPTS + 1))
        assert sorted(line.split(":")[0] for line in lines) == wanted, output
        for line in lines:
            prompt, text = line.split(": ")
            assert text.split(" #")[0] == prompt, "'%s' is the reply to another prompt: %s" % (prompt, text)
        said = [line for line in errors.split("\n") if "cache '" in line]
        assert len(said) == len(warnings), (warnings, said)
        for words, line in zip(warnings, said):
            assert words in line, (words, line)

    def ask(self, word, calls=None, *warnings, least=0, **more):
        """Asks everything with a word. So many calls reach the server (None: `least` or more), and so many warnings are said."""
        before = self.count()
        status, output, errors = common.lmopt("run", "ask.lua", cwd=self.folder, env=self.environment(word, **more.pop("env", {})), **more)
        self.check(status, output, errors, word, warnings)
        made = self.count() - before
        assert made == calls if calls is not None else made >= least, (made, calls)
        return made


def lock(path, mode, *pragmas):
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in pragmas:
        connection.execute(pragma)
    connection.execute("BEGIN " + mode)
    return connection


def locked_for_ever(folder):
    """By a program that lets nobody read: everything is asked anew, after one wait."""
    with Place(folder) as place:
        connection = lock(place.path, "EXCLUSIVE", "PRAGMA locking_mode = EXCLUSIVE")
        place.ask("old", cache.PROMPTS, "is locked by another program")
        connection.close()
        place.ask("old", 0)


def locked_for_writers(folder):
    """What is there is found; what comes anew is written when the lock is free, if that is before the end."""
    with Place(folder) as place:
        connection = lock(place.path, "IMMEDIATE")
        place.ask("old", 0)
        place.ask("never", cache.PROMPTS, "is locked by another program")
        log = os.path.join(folder, "log")
        with open(os.path.join(folder, "waits.lua"), "w", encoding="utf-8") as file:
            file.write(SCRIPT + "io.stdout:flush()\nlmopt.sleep(2)\n")
        process = common.start("run", "waits.lua", cwd=folder, env=place.environment("later"), log=log)
        until = time.monotonic() + common.PATIENCE
        while "is locked by another program" not in common.read(log) and time.monotonic() < until:
            time.sleep(0.02)
        connection.close()
        assert process.wait(common.PATIENCE) == 0
        text = common.read(log)
        place.check(0, "".join(line + "\n" for line in text.split("\n") if line.startswith("later")), text, "later",
                    ["is locked by another program"])
        place.ask("later", 0)
        place.ask("never", cache.PROMPTS)


def damaged_in_the_middle(folder):
    """Whatever bytes are wrong, wherever: a reply is the right one, or is asked for again."""
    with Place(folder) as place:
        whole, chance, found = place.path + ".whole", random.Random(11), [0, 0]
        shutil.copyfile(place.path, whole)
        size = os.path.getsize(whole)
        for trial in range(8):
            for ending in ("", "-wal", "-shm", ".damaged", ".damaged-wal", ".damaged-shm"):
                if os.path.exists(place.path + ending):
                    os.remove(place.path + ending)
            shutil.copyfile(whole, place.path)
            with open(place.path, "r+b") as file:
                file.seek(0 if trial == 0 else chance.randrange(size - 400))
                file.write(chance.randbytes(chance.choice((1, 8, 400))))
            for _ in range(3):  # what was read before the damage was noticed is not in the file that is begun then
                before = place.count()
                status, output, errors = common.lmopt("run", "ask.lua", cwd=folder, env=place.environment("old"))
                said = [line for line in errors.split("\n") if "cache '" in line]
                assert len(said) <= 2 and len(set(said)) == len(said), errors  # a reply is, and then the file
                place.check(status, output, errors, "old", ["damaged"] * len(said))
                found[0] += len(said)
                found[1] += place.count() - before
            place.ask("old", 0)
        assert found[0] > 0 and found[1] > 0, found
        return "8 damages, %d said, %d calls made again" % tuple(found)


def cut_short(folder):
    with Place(folder) as place:
        whole = place.path + ".whole"
        shutil.copyfile(place.path, whole)
        size = os.path.getsize(whole)
        for length in (0, 1, 100, 4096, size // 2, size - 1):
            shutil.copyfile(whole, place.path)
            os.truncate(place.path, length)
            place.ask("old", None, *(["is damaged"] if length else []), least=0)
            place.ask("old", 0)


def of_a_newer_version(folder):
    with Place(folder) as place:
        connection = sqlite3.connect(place.path)
        connection.execute("PRAGMA user_version = 2")
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.close()
        before = common.hash_of(place.path)
        place.ask("old", cache.PROMPTS, "was made by a newer version of lmopt")
        assert common.hash_of(place.path) == before


def no_file(folder):
    with Place(folder) as place:
        for ending in ("", "-wal", "-shm"):
            if os.path.exists(place.path + ending):
                os.remove(place.path + ending)
        os.mkdir(place.path)
        place.ask("old", cache.PROMPTS, "is not a file")


def removed_while_it_is_open(folder):
    """A new one is begun, with all that is written from then on."""
    with Place(folder) as place:
        place.ask("new", cache.PROMPTS, "was removed or replaced while it was in use", env={"FAULTS_REMOVE": place.path})
        again = place.ask("new")
        assert again <= 40, "%d were asked again" % again
        place.ask("new", 0)
        return "%d of %d asked again" % (again, cache.PROMPTS)


def replaced_while_it_is_open(folder):
    """By another cache, which from then on is the one."""
    with Place(folder) as place:
        other = place.path + ".other"
        shutil.copyfile(place.path, other)
        text = SCRIPT.replace("os.remove(remove)", "os.rename(remove .. '.other', remove)")
        assert text != SCRIPT
        common.write(os.path.join(folder, "ask.lua"), text)
        place.ask("new", cache.PROMPTS, "was removed or replaced while it was in use", env={"FAULTS_REMOVE": place.path})
        common.write(os.path.join(folder, "ask.lua"), SCRIPT)
        place.ask("old", 0)
        assert place.ask("new") <= 40
        with common.copy_of(place.path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def in_a_folder_that_cannot_be_written(folder):
    """Where SQLite can't put its -shm file, it can't read either."""
    with Place(folder) as place:
        home = os.path.dirname(place.path)
        for path in (folder, place.home, home):
            os.chmod(path, 0o755)
        os.chmod(place.path, 0o644)
        place.ask("old", cache.PROMPTS, "can't be", preexec_fn=files.as_nobody)


def that_cannot_be_written(folder):
    """It is read, and what is new is asked for every time."""
    with Place(folder) as place:
        home = os.path.dirname(place.path)
        for path in (folder, place.home):
            os.chmod(path, 0o755)
        os.chmod(home, 0o777)
        os.chmod(place.path, 0o444)
        place.ask("old", 0, preexec_fn=files.as_nobody)
        place.ask("new", cache.PROMPTS, "can't be written", preexec_fn=files.as_nobody)
        place.ask("new", cache.PROMPTS, "can't be written", preexec_fn=files.as_nobody)


TESTS = [locked_for_ever, locked_for_writers, damaged_in_the_middle, cut_short, of_a_newer_version, no_file,
         removed_while_it_is_open, replaced_while_it_is_open,
         in_a_folder_that_cannot_be_written, that_cannot_be_written]

if __name__ == "__main__":
    sys.exit(common.run_tests(TESTS))
