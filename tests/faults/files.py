"""Files that can't be used: one clear line each, exit status 1, the file untouched and nothing left beside it.

    BUILD=build files.py [TEST...]
"""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import common

NOBODY = 65534

BOWL = """
return function(trial)
  local x = trial:suggest_float("x", -5, 10)
  trial:set_user_attr("text", ("x"):rep(200))
  return (x - 3) ^ 2
end
"""


def as_nobody():
    """For Popen: permissions mean nothing to root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def prepare(folder):
    """A folder that anybody may enter, with a script and a study of 20 trials."""
    os.chmod(folder, 0o777)
    common.write(os.path.join(folder, "bowl.lua"), BOWL)
    status, _, errors = common.lmopt("run", "bowl.lua", "--storage", "s.db", "--trials", "20", "--seed", "1", cwd=folder)
    assert status == 0, errors
    path = os.path.join(folder, "s.db")
    os.chmod(path, 0o666)
    return path


def content(folder):
    """Every file of a folder: name -> what is in it."""
    return {entry.name: common.hash_of(entry.path) for entry in os.scandir(folder) if entry.is_file()}


def run(folder, path, trials="40", **more):
    return common.lmopt("run", os.path.join(folder, "bowl.lua"), "--storage", path, "--trials", trials, cwd=folder, **more)


def refuses(folder, path, *words, command=None, **more):
    """The command fails with one line that has the words, and changes nothing in the file's folder."""
    home = os.path.dirname(os.path.join(folder, path)) or folder
    before = content(home) if os.path.isdir(home) else None
    if command:
        status, output, errors = common.lmopt(*command, path, cwd=folder, **more)
    else:
        status, output, errors = run(folder, path, **more)
    after = content(home) if os.path.isdir(home) else None
    assert status == 1, (status, output, errors)
    lines = errors.rstrip("\n").split("\n")
    assert len(lines) == 1 and lines[0].startswith("lmopt: "), "not one line: %r" % errors
    assert output == "", output
    for word in words:
        assert word in lines[0], "%r is not in %r" % (word, lines[0])
    assert ".lua:" not in lines[0] and "sqlite3" not in lines[0].lower().replace("sqlite3's .recover", ""), lines[0]
    assert before == after, "changed: %s" % sorted(set(before.items()) ^ set(after.items()))


def both(folder, path, *words, **more):
    refuses(folder, path, *words, **more)
    refuses(folder, path, command=("study", "show"), *words, **more)


def no_database(folder):
    prepare(folder)
    for name, text in (("text.db", b"this is no database, but a text that is longer than a header of one hundred bytes would be, so there"),
                       ("short.db", b"short"), ("zeros.db", bytes(8192)), ("page.db", b"SQLite format 3\0" + bytes(84))):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(text)
        both(folder, name, name, "database" if name != "page.db" else name)


def a_damaged_database(folder):
    path = prepare(folder)
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(os.urandom(6000))
    both(folder, "s.db", "s.db")


def a_database_of_something_else(folder):
    prepare(folder)
    for mode in ("DELETE", "WAL"):
        path = os.path.join(folder, mode + ".db")
        other = sqlite3.connect(path)
        other.execute("PRAGMA journal_mode = " + mode)
        other.execute("CREATE TABLE cookies (name TEXT, value TEXT)")
        other.execute("INSERT INTO cookies VALUES ('a', 'b')")
        other.commit()
        other.close()
        both(folder, mode + ".db", mode + ".db")


def change(path, *statements):
    """Edits a study file as somebody else's program would, and leaves nothing beside it."""
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    assert common.beside(path) == []


def a_newer_schema(folder):
    path = prepare(folder)
    for name, statements in (("revision.db", ["UPDATE alembic_version SET version_num = 'v9.0.0.a'"]),
                             ("version.db", ["DELETE FROM alembic_version", "UPDATE version_info SET schema_version = 13"]),
                             ("own.db", ["UPDATE lmopt_version SET version = 99"])):
        shutil.copy(path, os.path.join(folder, name))
        change(os.path.join(folder, name), *statements)
        both(folder, name, name, "newer")


def an_empty_file(folder):
    """As touch and mktemp leave it: a study may be begun in it, but there is none to show."""
    prepare(folder)
    open(os.path.join(folder, "empty.db"), "w").close()
    refuses(folder, "empty.db", "empty.db", "empty", command=("study", "show"))
    status, _, errors = run(folder, "empty.db", trials="3")
    assert status == 0, errors
    assert len(common.look(os.path.join(folder, "empty.db"))) == 3


def a_folder_a_missing_folder_a_device(folder):
    prepare(folder)
    os.mkdir(os.path.join(folder, "d.db"))
    both(folder, "d.db", "d.db")
    both(folder, "none/s.db", "none")
    assert not os.path.exists(os.path.join(folder, "none"))
    both(folder, "bowl.lua/s.db", "bowl.lua")
    os.mkfifo(os.path.join(folder, "pipe.db"))
    both(folder, "pipe.db", "pipe.db")
    refuses(folder, "missing.db", "missing.db", command=("study", "show"))
    assert not os.path.exists(os.path.join(folder, "missing.db"))


def modes(path):
    """The same study as Optuna's own files are (a rollback journal), and as lmopt's are (WAL)."""
    rollback = path.replace("s.db", "rollback.db")
    shutil.copy(path, rollback)
    connection = sqlite3.connect(rollback)
    assert connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    connection.close()
    os.chmod(rollback, 0o666)
    return path, rollback


def shows(folder, name):
    """study show works and leaves no trace."""
    before = content(folder)
    dates = os.stat(os.path.join(folder, name)).st_mtime_ns
    for command in (("study", "show"), ("study", "ls"), ("study", "best"), ("study", "export")):
        status, output, errors = common.lmopt(*command, name, cwd=folder, preexec_fn=as_nobody)
        assert status == 0, (command, errors)
        assert errors == "", errors
    assert content(folder) == before
    assert os.stat(os.path.join(folder, name)).st_mtime_ns == dates
    return output


def a_read_only_file(folder):
    for path in modes(prepare(folder)):
        name = os.path.basename(path)
        os.chmod(path, 0o444)
        refuses(folder, name, name, preexec_fn=as_nobody)
        assert len(shows(folder, name).splitlines()) == 21


def a_read_only_folder(folder):
    for path in modes(prepare(folder)):
        name = os.path.basename(path)
        os.chmod(folder, 0o555)
        try:
            refuses(folder, name, name, "folder", preexec_fn=as_nobody)
            refuses(folder, "new.db", "new.db", "folder", preexec_fn=as_nobody)
            assert len(shows(folder, name).splitlines()) == 21
        finally:
            os.chmod(folder, 0o777)


def a_read_only_folder_with_a_wal(folder):
    """Copied to a read-only medium while a run had it open: the last trials are in the -wal."""
    path = prepare(folder)
    home = os.path.join(folder, "medium")
    os.mkdir(home)
    holder = sqlite3.connect(path)
    holder.execute("SELECT count(*) FROM studies").fetchone()  # the last to leave takes the -wal away
    status, _, errors = run(folder, "s.db", trials="30")
    assert status == 0, errors
    for ending in ("", "-wal"):
        shutil.copy(path + ending, os.path.join(home, "s.db" + ending))
    holder.close()
    assert os.path.getsize(os.path.join(home, "s.db-wal")) > 0
    os.chmod(home, 0o555)
    try:
        refuses(folder, "medium/s.db", "s.db", preexec_fn=as_nobody)
        assert len(shows(home, "s.db").splitlines()) == 31
    finally:
        os.chmod(home, 0o777)


def an_unreadable_file(folder):
    path = prepare(folder)
    os.chmod(path, 0)
    before = stat.S_IMODE(os.stat(path).st_mode)
    both(folder, "s.db", "s.db", "permission", preexec_fn=as_nobody)
    assert stat.S_IMODE(os.stat(path).st_mode) == before


def full_disk(folder):
    """The shim that makes write() fail as a full disk does."""
    library = os.path.join(folder, "full_disk.so")
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run([*compiler, "-shared", "-fPIC", "-o", library, os.path.join(common.HERE, "full_disk.c")], check=True)
    return library


def a_full_disk(folder):
    """From no room at all to room for most of it: one line, exit 1, and what was stored before is there still."""
    library = full_disk(folder)
    path = prepare(folder)
    whole = os.path.join(folder, "whole.db")
    shutil.copy(path, whole)
    status, _, errors = run(folder, whole, trials="60")
    assert status == 0, errors
    expected = common.look(whole)
    before = common.look(path)
    stopped = 0
    for room in (0, 1, 100, 4096, 10000, 30000, 60000, 100000):
        copy = os.path.join(folder, "full.db")
        shutil.copy(path, copy)
        env = common.environment(LD_PRELOAD=library, LM_FULL_DISK_AFTER=room,
                                 ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
        status, output, errors = run(folder, "full.db", trials="60", env=env)
        lines = [line for line in errors.splitlines() if line.startswith("lmopt: ")]
        assert status == 1, (room, status, output, errors)
        assert len(lines) == 1 and "full.db" in lines[0] and "disk is full" in lines[0], (room, errors)
        stopped += 1
        trials = common.look(copy)
        for number, trial in before.items():
            assert trials[number] == trial, "room %d: trial %d has changed" % (room, number)
        common.same({n: expected[n] for n in common.finished(trials)}, common.finished(trials), "a full disk")
        status, _, errors = run(folder, "full.db", trials="60")  # with room again
        assert status == 0, errors
        common.same(expected, common.look(copy), "after a full disk")
        for ending in ("", "-wal", "-shm"):
            if os.path.exists(copy + ending):
                os.remove(copy + ending)
    return "%d times" % stopped


def a_full_disk_and_a_new_file(folder):
    """Nothing half-made is left: either no study, or one that goes on."""
    library = full_disk(folder)
    prepare(folder)
    for room in (0, 1, 2000, 20000, 40000, 80000):
        path = os.path.join(folder, "new%d.db" % room)
        env = common.environment(LD_PRELOAD=library, LM_FULL_DISK_AFTER=room,
                                 ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
        status, _, errors = run(folder, path, trials="60", env=env)
        lines = [line for line in errors.splitlines() if line.startswith("lmopt: ")]
        assert status == 1 and len(lines) == 1 and "disk is full" in lines[0], (room, status, errors)
        status, _, errors = run(folder, path, trials="60")
        assert status == 0, (room, errors)
        assert len(common.look(path)) == 60


TESTS = [
    no_database, a_damaged_database, a_database_of_something_else, a_newer_schema, an_empty_file,
    a_folder_a_missing_folder_a_device, a_read_only_file, a_read_only_folder, a_read_only_folder_with_a_wal, an_unreadable_file,
    a_full_disk, a_full_disk_and_a_new_file,
]

def main():
    with tempfile.TemporaryDirectory(prefix="lmopt-faults-") as folder:
        os.chmod(folder, 0o755)
        common.LMOPT = shutil.copy(common.LMOPT, folder)  # nobody may be unable to reach the one in build/
        return common.run_tests(TESTS)


if __name__ == "__main__":
    sys.exit(main())
