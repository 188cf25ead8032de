"""Studies of very many trials in a file, from the first to the last: tests/bench/run --only big

One million `random` and 100,000 `nsga2` trials of 10 floats on SQLite, or COUNT times as few (--share 0.1). Prints a table,
and fails when a process took more than 1 GiB.
"""
import argparse
import os
import sys

from tools import as_table, lua, named, path_of, remove

STUDIES = (("random", 1_000_000), ("nsga2", 100_000))
LIMIT = 1 << 20  # kB


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1, help="of the trials (1)")
    share = parser.parse_args().share
    rows = [["study", "trials a second", "of these the last tenth", "peak memory", "file"]]
    met = True
    for sampler, trials in STUDIES:
        path = path_of("big.db")
        remove(path)
        count = max(100, int(trials * share))
        lines = lua("big_study.lua", sampler, count, path)
        remove(path)
        peak = named(lines, "peak")
        met = met and peak < LIMIT
        rows.append([f"{count:,} trials of `{sampler}`", f"{named(lines, 'rate'):.0f}", f"{named(lines, 'last'):.0f}",
                     f"{peak / 1024:.0f} MiB", f"{named(lines, 'file') / 1e6:.0f} MB"])
    print(as_table(rows))
    print(f"\nThe load of the machine was {os.getloadavg()[0]:.1f} at the end.")
    if not met:
        sys.exit("more than 1 GiB of memory")


main()
