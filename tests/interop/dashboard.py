"""optuna-dashboard opens a file that lmopt wrote: what its API says, and what its pages show in Chromium.

Everything stays on this machine: the server listens on 127.0.0.1, and the browser finds no other host.
"""

import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import common
from common import check

EVERY = "every state: é日本"
CHROMIUM = shutil.which("chromium")
STATES = {"Complete": "complete", "Pruned": "pruned", "Fail": "failed", "Running": "running", "Waiting": "waiting"}


# --- the server ---


def start_server(folder, path):
    """The dashboard on a port that was free: its address."""
    program = os.path.join(os.path.dirname(sys.executable), "optuna-dashboard")
    for attempt in range(5):
        port = 20000 + (os.getpid() * 7 + attempt * 1009) % 20000
        server = common.start([program, "--quiet", "--host", "127.0.0.1", "--port", str(port), "--server", "wsgiref",
                               common.storage(path)], folder)
        address = "http://127.0.0.1:%d" % port
        deadline = time.monotonic() + 60
        while server.poll() is None and time.monotonic() < deadline:
            try:
                if b"optuna_dashboard" in urllib.request.urlopen(address + "/dashboard", timeout=10).read().lower().replace(b" ", b"_"):
                    return address
            except urllib.error.URLError:
                time.sleep(0.1)
        # The port was taken, perhaps.
    raise AssertionError("the dashboard does not start: %s" % server.stdout.read().decode())


def get(address, place):
    with urllib.request.urlopen(address + place, timeout=60) as reply:
        return json.load(reply)


def trial_of(told):
    """A trial as the dashboard's API tells it, in the words of lmopt's export."""
    said = {"number": told["number"], "state": STATES[told["state"]],
            "params": sorted((param["name"], param["param_external_value"]) for param in told["params"])}
    if told.get("values"):
        said["values"] = [float(value) for value in told["values"]]  # infinities are texts there
    said["reports"] = [[item["step"], float(item["value"])] for item in told["intermediate_values"]]
    said["constraints"] = sorted(float(value) for value in told["constraints"])
    return said


def wanted_of(trial):
    """The same of lmopt's export."""
    said = {"number": trial["number"], "state": trial["state"], "params": sorted((k, python_text(v)) for k, v in trial["params"].items())}
    values = trial.get("values") or ([trial["value"]] if "value" in trial else [])
    if values:
        said["values"] = [float(value) for value in values]
    said["reports"] = [[item["step"], float(item["value"])] for item in trial.get("intermediate_values", [])]
    said["constraints"] = sorted(float(value) for value in trial.get("constraints", {}).values())
    return said


def python_text(value):
    return value if isinstance(value, str) else str(value)


def check_api(address, path, summary):
    told, exported = get(address, "/api/studies/%d" % summary["study_id"]), common.export(path, summary["study_name"])
    assert [d.lower() for d in told["directions"]] == exported["directions"], told["directions"]
    assert len(told["trials"]) == len(exported["trials"]), len(told["trials"])
    for trial, wanted in zip(told["trials"], exported["trials"]):
        assert repr(trial_of(trial)) == repr(wanted_of(wanted)), (trial_of(trial), wanted_of(wanted))
    names = common.snapshot(path)[summary["study_name"]].get("metric_names")
    assert told.get("objective_names") == names, (told.get("objective_names"), names)
    return told


def check_best(every, pareto, path):
    """The dashboard's best trials do not heed constraints, though it marks what is not feasible."""
    assert [trial["number"] for trial in every["best_trials"]] == [3]
    assert common.snapshot(path)[EVERY]["best"] == 0
    values = {trial["number"]: [float(value) for value in trial["values"]] for trial in pareto["trials"] if trial["state"] == "Complete"}
    front = [n for n, (a, b) in values.items() if not any(x <= a and y >= b and (x, y) != (a, b) for x, y in values.values())]
    assert sorted(trial["number"] for trial in pareto["best_trials"]) == front, (pareto["best_trials"], front)


# --- the browser ---


def browse(address, *options):
    """One page in Chromium, with a profile of its own: what it writes to standard output once the page's scripts are done."""
    with tempfile.TemporaryDirectory(prefix="lmopt-chromium-", ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
                   "--disable-background-networking", "--disable-component-update", "--user-data-dir=" + profile,
                   "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--window-size=1280,1000",
                   "--virtual-time-budget=15000", *options, address]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=common.PATIENCE)
    assert done.returncode == 0, (done.returncode, done.stderr.decode("utf-8", "replace")[-2000:])
    return done.stdout.decode("utf-8", "replace")


def render(address, complete):
    """A page's DOM once complete(dom) says it is there; a busy machine may need a second look."""
    for attempt in range(3):
        dom = browse(address, "--dump-dom")
        if complete(dom):
            return dom
    return dom


def text_of(dom):
    without = re.sub(r"<(script|style)\b.*?</\1>", " ", dom, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", without)).split())


def plots_of(dom):
    """The Plotly plots of a page: for each the text of its axes, and its marks (points and bars) and lines."""
    plots = []
    for part in re.split(r"js-plotly-plot", dom)[1:]:
        titles = [html.unescape(title) for title in re.findall(r'class="[gxy]*title"[^>]*>([^<]*)<', part)]
        plots.append({"titles": titles, "marks": len(re.findall(r'class="point"', part)),
                      "traces": len(re.findall(r'class="trace ', part)), "svg": part.count("main-svg")})
    return plots


def plot_with(plots, *titles):
    found = [plot for plot in plots if plot["titles"][:2] == list(titles)]
    assert len(found) == 1, (titles, plots)
    return found[0]


def see_list(address):
    dom = render(address + "/dashboard", lambda dom: "pareto" in text_of(dom))
    text = text_of(dom)
    for name in ("4. running", "3. curves", "2. pareto", "1. " + EVERY, "MINIMIZE, MAXIMIZE"):
        assert name in text, (name, text)


def see_curves(address, told):
    by_state = [trial["state"] for trial in told["trials"]]
    dom = render(address + "/dashboard/studies/3", lambda dom: len(plots_of(dom)) == 4)
    text, plots = text_of(dom), plots_of(dom)
    assert "curves (id=3)" in text and "Best Trial (number=%d)" % told["best_trials"][0]["number"] in text, text
    assert len(plots) == 4 and all(plot["svg"] > 0 for plot in plots), plots
    ended = by_state.count("Complete") + by_state.count("Pruned")
    assert plot_with(plots, "Trial", "Objective 0")["marks"] == ended, plots
    assert plot_with(plots, "Hyperparameter Importance", "Hyperparameter")["marks"] == 3, plots
    assert plot_with(plots, "Datetime", "Trial")["marks"] == len(by_state), plots
    reports = plot_with(plots, "Step", "Objective Value")
    assert reports["traces"] == ended, (reports, ended)
    return "%d plots, %d marks" % (len(plots), sum(plot["marks"] for plot in plots))


def see_pareto(address):
    dom = render(address + "/dashboard/studies/2", lambda dom: len(plots_of(dom)) == 4)
    text, plots = text_of(dom), plots_of(dom)
    assert "Objective X: cost" in text and "Objective Y: score" in text, text
    assert len(plots) == 4 and all(plot["svg"] > 0 for plot in plots), plots
    # 60 trials, of which one failed and one is at infinity.
    assert max(plot["marks"] for plot in plots) >= 58, plots


def see_trials(address, told):
    dom = render(address + "/dashboard/studies/1/trials", lambda dom: " Trials " in text_of(dom))
    text = text_of(dom)
    assert "%d Trials" % len(told["trials"]) in text, text
    for number, state in ((0, "Complete"), (5, "Pruned"), (9, "Fail"), (17, "Waiting")):
        assert "Trial %d %s" % (number, state) in text, (number, state, text)
    assert "Trial 3 Complete Best Trial" in text, text  # which is not feasible; see check_best


def states_told(address, wanted):
    """Waits until the API tells these states: it reads the trials again after two to ten seconds."""
    deadline = time.monotonic() + 60
    while True:
        states = [trial["state"] for trial in get(address, "/api/studies/4")["trials"]]
        if states == wanted:
            return
        assert time.monotonic() < deadline, states
        time.sleep(0.5)


def see_running(address, path, process):
    """The dashboard stays up while lmopt writes."""
    states = [trial["state"] for trial in get(address, "/api/studies/4")["trials"]]
    assert states == ["Complete", "Complete", "Running"], states
    open(path + ".go", "w").close()
    rest = process.stdout.read()
    assert process.wait(common.PATIENCE) == 0, rest
    states_told(address, ["Complete"] * 3)
    common.lmopt("run", "objective.lua", "--storage", path, "--study", "running", "--trials", "40", cwd=os.path.dirname(path))
    states_told(address, ["Complete"] * 40)
    dom = render(address + "/dashboard/studies/4/trials", lambda dom: " Trials " in text_of(dom))
    assert "40 Trials" in text_of(dom), text_of(dom)


def program(folder):
    assert CHROMIUM, "no `chromium` in PATH: on Debian it is the package chromium (scripts/setup interop installs it)"
    path, process = common.write_file(folder, keep_running=True)
    address = start_server(folder, path)
    with check("the dashboard lists the studies"):
        summaries = get(address, "/api/studies")["study_summaries"]
        assert [s["study_name"] for s in summaries] == [EVERY, "pareto", "curves", "running"], summaries
    told = {}
    for summary in summaries:
        name = summary["study_name"]
        with check("its API: %s, trial by trial" % name) as said:
            told[name] = check_api(address, path, summary)
            said.append("%d trials" % len(told[name]["trials"]))
    with check("its best trial heeds no constraints"):
        check_best(told[EVERY], told["pareto"], path)
    with check("the list of studies in Chromium"):
        see_list(address)
    with check("a study's page in Chromium: its plots have the points they should") as said:
        said.append(see_curves(address, told["curves"]))
    with check("the page of a study with two directions"):
        see_pareto(address)
    with check("the list of trials in Chromium: every state"):
        see_trials(address, told[EVERY])
    with check("live: a running trial, its end, and more trials"):
        see_running(address, path, process)
    picture = os.environ.get("PICTURE")  # where to leave one, for the documentation
    if picture:
        browse(address + "/dashboard/studies/3", "--screenshot=" + os.path.abspath(picture), "--window-size=1280,1230")
    common.check_integrity(path)


common.main(program)
