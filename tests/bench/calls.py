"""Model calls: lmopt next to libcurl alone, and to the clients that people use, all against load_server.

The server has one core and the client the other. They take turns, and what is compared is neighbours: a ratio is that of
two runs one after the other, the figure the median of the rounds' ratios.
"""
import contextlib
import os
import resource
import statistics
import subprocess
import urllib.request
from importlib.metadata import distributions

from tools import BUILD, COMMAND, HERE, WORK, Mark, named, remove, row, run, say, spread, sys

PROGRAMS = os.path.join(BUILD, "tests", "bench")
PEERS = os.path.join(WORK, "venv-calls")
ROUNDS, IN_FLIGHT = 7, 256
CORES = sorted(os.sched_getaffinity(0))


def on_core(which, command):
    """The command, bound to one of the cores that there are; with one core, all share it."""
    return ["taskset", "-c", str(CORES[which % len(CORES)])] + command


def allow_files():
    """As many open files as the system lets a process have: 2,000 calls in flight are as many connections."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextlib.contextmanager
def server(latency=0):
    """A load server; gives its address. It ends with its input."""
    command = on_core(0, [os.path.join(PROGRAMS, "load_server"), str(latency)])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        process.stdin.close()


def read(text):
    lines = text.splitlines()
    found = {name: named(lines, name) for name in ("calls", "seconds", "work", "median", "peak")}
    found["rate"], found["each"] = found["calls"] / found["seconds"], found["work"] / found["calls"]
    return found


def bare(url, calls, in_flight, warm=0):
    command = [os.path.join(PROGRAMS, "bare_curl"), url + "/chat/completions", str(calls), str(in_flight), str(warm)]
    return read(run(on_core(1, command)))


def lmopt(url, calls, in_flight, warm=0, place="off"):
    command = [COMMAND, "run", "--quiet", os.path.join(HERE, "calls.lua"), "--", url, str(calls), str(in_flight), str(warm), place]
    return read(run(on_core(1, command)))


def durable(url, calls, in_flight, warm=0):
    """lmopt again, each reply kept in a file that is new."""
    path = os.path.join(WORK, "calls.db")
    remove(path)
    found = lmopt(url, calls, in_flight, warm, path)
    remove(path)
    return found


def peer(name):
    def measure(url, calls, in_flight, warm=0):
        command = [os.path.join(PEERS, "bin", "python"), os.path.join(HERE, "calls_peer.py"), name, url]
        return read(run(on_core(1, command + [str(calls), str(in_flight), str(warm)])))
    return measure


def check(url):
    """That the server has seen each call once, or there are no figures."""
    calls = 300
    for client in (bare, lmopt, durable):
        client(url, calls, 64)
    with urllib.request.urlopen(url.replace("/v1", "/count")) as answer:
        seen = int(answer.read())
    if seen != 3 * calls:
        sys.exit(f"the load server has seen {seen} calls of {3 * calls}")


def in_turns(clients, rounds, *arguments):
    """name -> what each round has found."""
    found = {name: [] for name in clients}
    for _ in range(rounds):
        for name, client in clients.items():
            found[name].append(client(*arguments))
    return found


def ratios(ours, theirs, what):
    return [a[what] / b[what] for a, b in zip(ours, theirs)]


def compare(what, ours, theirs, mark):
    """A row of rates."""
    rate = statistics.median(ratios(ours, theirs, "rate"))
    work = statistics.median(ratios(theirs, ours, "each"))
    digits = 2 if rate < 10 else 0
    return row(what, spread([one["rate"] for one in ours], 1, 0, "/s"), spread([one["rate"] for one in theirs], 1, 0, "/s"),
               f"{rate:.{digits}f}", f"{work:.{digits}f}", mark, rate)


def versions():
    return {one.metadata["Name"]: one.version for one in distributions(path=[path for path in peer_paths() if os.path.isdir(path)])}


def peer_paths():
    folder = os.path.join(PEERS, "lib")
    return [os.path.join(folder, name, "site-packages") for name in os.listdir(folder)]


def many(url):
    clients = {"bare": bare, "off": lmopt, "durable": durable}
    found = in_turns(clients, ROUNDS, url, 10000, IN_FLIGHT, 1000)
    say("calls: libcurl done")
    slow = in_turns({name: peer(name) for name in ("openai", "litellm")}, 3, url, 500, IN_FLIGHT, IN_FLIGHT)
    say("calls: peers done")
    begin, known = "model calls a second on one core, 256 in flight, the server answering at once: ", versions()
    ours, theirs = found["off"], found["bare"]
    each = statistics.median(ratios(ours, theirs, "each"))
    micros = 1e6 * statistics.median(one["each"] for one in ours)
    return [
        compare(begin + "cache off; libcurl alone, in C", ours, theirs, Mark(">=", 0.7, "")),
        compare(begin + "cache in a file; libcurl alone, in C", found["durable"], theirs, Mark(">=", 0.5, "")),
        compare(f"{begin}cache off; the openai package {known['openai']}, async", ours[:3], slow["openai"], Mark(">=", 10, " times")),
        compare(f"{begin}cache off; LiteLLM {known['litellm']}, acompletion", ours[:3], slow["litellm"], Mark(">=", 10, " times")),
        row("processor time of such a call, everything included; libcurl alone", spread([one["each"] for one in ours], 1e6, 1, "µs"),
            spread([one["each"] for one in theirs], 1e6, 1, "µs"), f"{each:.2f}", "", Mark("<", 2, " times, or < 45 µs"),
            min(each, 2 * micros / 45)),
    ]


def slow_server():
    with server(200) as url:
        found = in_turns({"bare": bare, "lmopt": lmopt}, 3, url, 10000, 2000)
    say("calls: slow server done")
    ratio = statistics.median(ratios(found["lmopt"], found["bare"], "seconds"))
    work = statistics.median(ratios(found["lmopt"], found["bare"], "work"))
    peaks = [one["peak"] / 1024 for one in found["lmopt"]]
    return [
        row("10,000 model calls of 200 ms, 2,000 in flight, connecting included; libcurl alone",
            *(spread([one["seconds"] for one in found[name]], 1, 2, "s") for name in ("lmopt", "bare")), f"{ratio:.2f}", f"{work:.2f}",
            Mark("<=", 1.25, " times"), ratio),
        row("peak memory of that process", spread(peaks, 1, 0, "MiB"),
            spread([one["peak"] / 1024 for one in found["bare"]], 1, 0, "MiB"), mark=Mark("<", 100, " MiB"),
            figure=statistics.median(peaks)),
    ]


def one_at_a_time(url):
    found = in_turns({"bare": bare, "lmopt": lmopt}, ROUNDS, url, 2000, 1, 100)
    say("calls: one at a time done")
    added = statistics.median(a["median"] - b["median"] for a, b in zip(found["lmopt"], found["bare"]))
    return [row("a model call, one at a time, from call to reply; libcurl alone (`curl_easy_perform`)",
                *(spread([one["median"] for one in found[name]], 1e3, 3, "ms") for name in ("lmopt", "bare")), f"+{1e3 * added:.3f} ms", "",
                Mark("<", 0.05, " ms more"), 1e3 * added)]


def rows():
    allow_files()
    with server() as url:
        check(url)
        found = many(url) + one_at_a_time(url)
    return found + slow_server()
