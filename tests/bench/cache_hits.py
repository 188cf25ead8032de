"""Hits of the cache a second, from memory and from a file: cache_hits.lua."""
import statistics

from tools import Mark, lua, path_of, remove, row, say, spread

PROCESSES = 7
# The mark from memory is about the call, so about the row without the making of its text. Each row hashes each request.
WAYS = [
    ("new_text", "from memory, the request and its text put together for the call, that included", None),
    ("new_request", "from memory, the request put together for the call of a text that the caller has kept", 200000),
    ("kept_text", "from memory, a text that the caller has kept, and no request", None),
    ("first_time", "from memory, each the first time that its handle is asked", None),
    ("file", "from SQLite, in a process that begins with the file: each read from it, in the order of before", 50000),
    ("shuffled", "the same, in no order", None),
]


def rates(lines, into):
    for line in lines:
        name, rate, work = line.split()
        into.setdefault(name, []).append((float(rate), float(work)))


def hits():
    """Not a comparison: nobody else's cache answers from Lua."""
    path, found = path_of("hits.db"), {}
    remove(path)
    base = lua("cache_hits.lua", "fill", path)[0]
    for _ in range(PROCESSES):
        rates(lua("cache_hits.lua", "memory"), found)
        rates(lua("cache_hits.lua", "file", path, base), found)
        rates(lua("cache_hits.lua", "file", path, base, "shuffled"), found)
    remove(path)
    rows = []
    for name, what, least in WAYS:
        passed, worked = ([pair[which] for pair in found[name]] for which in (0, 1))
        mark = {"mark": Mark(">", least, " /s"), "figure": statistics.median(passed)} if least else {}
        rows.append(row(f"cache hits a second, 1 kB prompts and replies: {what}", spread(passed, 1, 0, "/s"),
                        processor=f"{statistics.median(worked):,.0f} /s", **mark))
    say("hits done")
    return rows
