"""The peers of the comparison of samplers: what runs them, and the virtual environments they need."""
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

# Samplers by name; true: slow, so that fewer seeds are run.
OPTUNA = {"random": False, "tpe": False, "tpe_univariate": False, "tpe_multivariate": False, "tpe_group": False, "cmaes": False,
          "nsga2": False, "nsga3": False, "qmc": False, "gp": True}
OPTUNA_4 = {"tpe": False, "tpe_multivariate": False, "tpe_group": False, "cmaes": False, "nsga2": False, "nsga3": False, "gp": True}
CHEAP = ("random", "cmaes", "nsga2")

PEERS = {
    "optuna-5.0.0": {"library": "optuna", "version": "5.0.0", "script": "search_peer.py", "samplers": OPTUNA,
                     "requirements": "requirements-search.txt"},
    "optuna-4.9.0": {"library": "optuna", "version": "4.9.0", "script": "search_peer.py", "samplers": OPTUNA_4,
                     "requirements": "requirements-search-optuna4.txt"},
    "smac-2.4.1": {"library": "smac", "version": "2.4.1", "script": "search_smac.py", "samplers": {"smac": True},
                   "requirements": "requirements-search-smac.txt"},
    "botorch-0.18.1": {"library": "botorch", "version": "0.18.1", "script": "search_botorch.py", "samplers": {"logei": True},
                       "requirements": "requirements-search-botorch.txt"},
    "hebo-0.3.6": {"library": "hebo", "version": "0.3.6", "script": "search_hebo.py", "samplers": {"hebo": True},
                   "requirements": "requirements-search-hebo.txt", "alone": "HEBO==0.3.6"},
}

TORCH = "requirements-search-torch.txt"


def same(path, other):
    if not os.path.exists(path) or not os.path.exists(other):
        return False
    with open(path, encoding="utf-8") as one, open(other, encoding="utf-8") as two:
        return one.read() == two.read()


def install(environment, requirements, mark, say, alone=None):
    """What the file names is in the virtual environment, which notes that in `mark`; and `alone`, without what it asks for."""
    python, source = os.path.join(environment, "bin", "python"), os.path.join(HERE, requirements)
    mark = os.path.join(environment, mark)
    if same(source, mark):
        return python
    say(f"installing what tests/bench/{requirements} names ...")
    if not os.path.exists(python):
        subprocess.run([os.environ.get("PYTHON", sys.executable), "-m", "venv", environment], check=True)
    for what in [["-r", source]] + ([["--no-deps", alone]] if alone else []):
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"] + what, check=True, stdout=sys.stderr)
    shutil.copyfile(source, mark)
    return python


def python_of(name, build, say, torch=False):
    """The Python of a peer; its environment is made when it is first needed."""
    environment = os.path.join(build, "bench", "venv-" + name)
    python = install(environment, PEERS[name]["requirements"], "installed", say, PEERS[name].get("alone"))
    if torch:
        install(environment, TORCH, "installed-torch", say)
    return python
