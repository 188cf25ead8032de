"""Optuna's own plots of studies that lmopt wrote: each is drawn, and has the points it should have."""

import math
import os
import sys
import warnings

import common
import optuna
from common import check

try:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot
    import plotly
except ImportError as problem:
    sys.exit("plots.py needs plotly and matplotlib: %s" % problem)

import optuna.visualization as with_plotly
import optuna.visualization.matplotlib as with_matplotlib

warnings.simplefilter("ignore")  # of plots with one value on an axis, or none

EVERY = "every state: é日本"


def count_in(figure, **wanted):
    """Points of the traces of a plotly figure, of those that have the given properties."""
    total = 0
    for trace in figure.data:
        if all(getattr(trace, key, None) == value for key, value in wanted.items()):
            total += len(trace.x) if trace.x is not None else 0
    return total


def scattered(axes):
    """Points of all scatter collections of a matplotlib figure."""
    flat = axes.flat if hasattr(axes, "flat") else [axes]
    return sum(len(collection.get_offsets()) for ax in flat for collection in ax.collections)


def lines(axes):
    return [line for line in axes.get_lines() if len(line.get_xdata())]


def complete(study):
    return [trial for trial in study.trials if trial.state.name == "COMPLETE"]


def reported(study):
    return [trial for trial in study.trials if trial.intermediate_values and trial.state.name != "FAIL"]


# --- what each plot of "curves" must have ---


def history(study, figure, axes):
    wanted = len(complete(study))
    assert count_in(figure, mode="markers") == wanted == scattered(axes), (count_in(figure, mode="markers"), scattered(axes), wanted)


def intermediate(study, figure, axes):
    wanted = reported(study)
    assert len(figure.data) == len(wanted) == len(lines(axes)), (len(figure.data), len(lines(axes)), len(wanted))
    assert sum(len(trace.x) for trace in figure.data) == sum(len(trial.intermediate_values) for trial in wanted)


def parallel(study, figure, axes):
    if figure.data[0].type == "parcoords":  # Optuna 4: one trace with a dimension for the value and one for each parameter
        (trace,) = figure.data
        assert [len(d["values"]) for d in trace.dimensions] == [len(complete(study))] * 4, trace.dimensions
        assert [d["label"] for d in trace.dimensions][1:] == ["kind", "layers", "rate"]
    else:  # Optuna 5: a line for each trial
        drawn_lines = [trace for trace in figure.data if trace.mode == "lines" and len(trace.x) == 4]
        assert len(drawn_lines) == len(complete(study)), len(drawn_lines)
    segments = [c for c in axes.collections if hasattr(c, "get_segments")]
    assert sum(len(c.get_segments()) for c in segments) == len(complete(study))


def contour(study, figure, axes):
    kinds = [trace.type for trace in figure.data]
    assert kinds.count("contour") == 6, kinds  # every two of three parameters, both ways round
    assert axes.shape == (3, 3)


def slices(study, figure, axes):
    wanted = 3 * len(complete(study))
    assert count_in(figure, mode="markers") == wanted, figure
    assert scattered(axes) == wanted


def distribution(study, figure, axes):
    values = [trial.value for trial in complete(study)]
    (trace,) = figure.data
    assert min(trace.x) == min(values) and max(trace.x) == max(values) and trace.y[-1] == 1.0
    assert len(lines(axes)) == 1


def importances(study, figure, axes):
    (trace,) = figure.data
    assert sorted(trace.y) == ["kind", "layers", "rate"] and abs(sum(trace.x) - 1) < 1e-6, trace
    assert len(axes.patches) == 3


def rank(study, figure, axes):
    # Off the diagonal the pairs are drawn; the diagonal stays empty.
    assert count_in(figure, mode="markers") >= 6 * len(complete(study))
    assert scattered(axes) >= 6 * len(complete(study))


def timeline(study, figure, axes):
    bars = sum(len(trace.x) for trace in figure.data if trace.type == "bar")
    assert bars == len(study.trials) == len(axes.patches), (bars, len(axes.patches))


PLOTS = {
    "plot_optimization_history": history,
    "plot_intermediate_values": intermediate,
    "plot_parallel_coordinate": parallel,
    "plot_contour": contour,
    "plot_slice": slices,
    "plot_edf": distribution,
    "plot_param_importances": importances,
    "plot_rank": rank,
    "plot_timeline": timeline,
}

# plot_terminator_improvement needs PyTorch for its Gaussian process, which is too big to install here.
LEFT_OUT = {"plot_terminator_improvement"}
SEVERAL = {"plot_pareto_front", "plot_hypervolume_history"}


def drawn(folder, name, figure, axes):
    """Both are turned into pictures' data, where a broken figure raises."""
    assert len(figure.to_json()) > 500
    out = os.path.join(folder, name + ".png")
    shown = axes.flat[0] if hasattr(axes, "flat") else axes
    shown.figure.savefig(out)
    assert os.path.getsize(out) > 2000
    matplotlib.pyplot.close("all")


def draw_both(folder, name, study, test, **more):
    figure = getattr(with_plotly, name)(study, **more)
    axes = getattr(with_matplotlib, name)(study, **more)
    test(study, figure, axes)
    drawn(folder, name, figure, axes)


def pareto(study, figure, axes):
    best, wanted = len(study.best_trials), [t for t in complete(study) if all(math.isfinite(v) for v in t.values)]
    infeasible = sum(any(v > 0 for v in common.constraints_of(trial)) for trial in complete(study))
    assert count_in(figure, mode="markers") in (len(wanted), len(complete(study))), (count_in(figure, mode="markers"), len(wanted))
    counts = sorted(len(trace.x) for trace in figure.data)
    assert best in counts and (infeasible == 0 or infeasible in counts), (counts, best, infeasible)
    assert figure.layout.xaxis.title.text == "cost" and figure.layout.yaxis.title.text == "score"
    assert scattered(axes) == count_in(figure, mode="markers")


def hypervolume(study, figure, axes):
    (trace,) = figure.data
    assert list(trace.x) == [trial.number for trial in complete(study)]
    assert all(b >= a for a, b in zip(trace.y, trace.y[1:])) and trace.y[-1] > 0


def program(folder):
    path, _ = common.write_file(folder)
    curves, pareto_study, every = (common.load(path, name) for name in ("curves", "pareto", EVERY))
    with check("every plot there is has its check") as said:
        there = {name for name in dir(with_matplotlib) if name.startswith("plot_")}
        assert there == set(PLOTS) | SEVERAL | LEFT_OUT, there
        assert all(hasattr(with_plotly, name) for name in there)
        said.append("%d plots, plotly %s, matplotlib %s" % (len(there), plotly.__version__, matplotlib.__version__))
    for name, test in PLOTS.items():
        with check(name):
            draw_both(folder, name, curves, test)
    with check("plot_pareto_front"):
        draw_both(folder, "plot_pareto_front", pareto_study, pareto)
    with check("plot_hypervolume_history"):
        draw_both(folder, "plot_hypervolume_history", pareto_study, hypervolume, reference_point=[300.0, -100.0])
    for name in PLOTS:  # infinities, a conditional space, trials without parameters, queued ones
        with check("%s of the study with every state" % name):
            draw_both(folder, name, every, lambda study, figure, axes: None)


common.main(program)
