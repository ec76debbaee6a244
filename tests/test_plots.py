"""Pictures show the numbers that they are given."""

import math
import subprocess
import sys
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb

import gdcore as gd
from gdcore import plots
from gdcore.cli.bench import Point, draw_roofline
from gdcore.cli.paths import VALLEYS, draw_paths, walk
from gdcore.schedules import cosine, step


def records(epochs, **columns):
    """Records with each column's function of the epoch."""
    return [{"epoch": e, **{k: f(e) for k, f in columns.items()}, "seconds": 0.1} for e in range(1, epochs + 1)]


def curves(axes):
    """The data of each line by its label, but for the marks of the best epoch."""
    lines = {line.get_label(): line for line in axes.lines if not line.get_label().startswith(("_", "best"))}
    return {label: np.array(line.get_data(), float) for label, line in lines.items()}


def same(drawn, epochs, values):
    np.testing.assert_array_equal(drawn, [epochs, [math.nan if v is None else v for v in values]])


def full_history():
    return gd.History(
        records(
            30,
            loss=lambda e: 4.0 / e,
            rmse=lambda e: 2.0 / e,
            accuracy=lambda e: 1 - 0.5 / e,
            running_rmse=lambda e: 2.1 / e,
            validation_loss=lambda e: 4.2 / e + 0.01 * e,
            validation_rmse=lambda e: 2.2 / e + 0.01 * e,
            lr=cosine(0.1, 30),
        ),
        "validation_rmse",
    )


# A run


def test_every_column_of_a_history_is_drawn_in_the_panel_of_its_metric():
    history = full_history()
    columns = history.to_dict()
    panels = {axes.get_ylabel(): curves(axes) for axes in plots.history(history).axes}
    keys = {
        "loss": {"training": "loss", "validation": "validation_loss"},
        "rmse": {"training": "rmse", "running": "running_rmse", "validation": "validation_rmse"},
        "accuracy": {"training": "accuracy"},
        "lr": {"training": "lr"},
    }
    assert {name: set(lines) for name, lines in panels.items()} == {name: set(by) for name, by in keys.items()}
    for name, by_label in keys.items():
        for label, key in by_label.items():
            same(panels[name][label], columns["epoch"], columns[key])


def test_the_best_epoch_is_marked_on_the_line_that_is_watched():
    history = full_history()
    marks = [
        (axes.get_ylabel(), *line.get_data(), line.get_label())
        for axes in plots.history(history).axes
        for line in axes.lines
        if line.get_label().startswith("best")
    ]
    best = history.best
    (mark,) = marks
    assert mark[0] == "rmse"
    assert (mark[1][0], mark[2][0]) == (best["epoch"], best["validation_rmse"])
    assert mark[3] == f"best: {best['validation_rmse']:.4g}, epoch {best['epoch']}"


def test_the_best_of_a_larger_one_is_the_largest():
    history = gd.History(
        records(9, loss=lambda e: 1 / e, accuracy=lambda e: -((e - 4) ** 2)), "accuracy", larger_is_better=True
    )
    (line,) = [line for line in plots.history(history).axes[1].lines if line.get_label().startswith("best")]
    assert line.get_xdata()[0] == 4


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1000.0, 1.0], "log"),
        ([100.0, 1.0], "linear"),
        ([1000.0, 1.0, 0.0], "linear"),
        ([1000.0, 1.0, -1.0], "linear"),
        ([1000.0, None, 1.0], "log"),
        ([math.nan, 1.0, math.inf], "linear"),
    ],
)
def test_an_axis_is_logarithmic_where_positive_values_span_more_than_two_decades(values, scale):
    history = gd.History(records(len(values), loss=lambda e: values[e - 1], rmse=lambda e: 1.0))
    first, second = plots.history(history).axes
    assert (first.get_yscale(), second.get_yscale()) == (scale, "linear")


def test_one_epoch_is_a_mark_at_an_integer():
    figure = plots.history(gd.History(records(1, loss=lambda _: 2.0)))
    (axes,) = figure.axes
    line = axes.lines[0]
    assert line.get_marker() != "None"
    assert line.get_markevery() == [0]
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1.0]


@pytest.mark.parametrize("epochs", [1, 2, 5, 12, 200])
def test_ticks_of_epochs_are_integers(epochs):
    (axes,) = plots.history(gd.History(records(epochs, loss=lambda e: 1 / e))).axes
    assert all(tick == round(tick) for tick in axes.get_xticks())


def test_what_is_missing_is_a_gap_and_what_stands_alone_bears_a_mark():
    values = [5.0, None, 4.0, math.nan, math.inf, 3.0, 2.0, *(None for _ in range(60)), 1.0]
    history = gd.History(records(len(values), loss=lambda e: 1.0, validation_loss=lambda e: values[e - 1]))
    (axes,) = plots.history(history).axes
    finite = [value if value is not None and math.isfinite(value) else None for value in values]
    same(curves(axes)["validation"], range(1, len(values) + 1), finite)
    (line,) = [line for line in axes.lines if line.get_label() == "validation"]
    assert {0, 2, len(values) - 1} <= set(line.get_markevery())


@pytest.mark.parametrize("rate", [0.1, 0.0])
def test_a_learning_rate_that_stays_is_not_drawn(rate):
    history = gd.History(records(5, loss=lambda e: 1 / e, lr=lambda _: rate))
    assert [axes.get_ylabel() for axes in plots.history(history).axes] == ["loss"]


def test_columns_that_are_no_numbers_are_not_drawn():
    history = gd.History(
        records(5, loss=lambda e: 1 / e, note=str, ok=lambda _: True, w=lambda _: np.ones(2), none=lambda _: None)
    )
    assert [axes.get_ylabel() for axes in plots.history(history).axes] == ["loss"]


@pytest.mark.parametrize(
    ("key", "panel"),
    [("running_validation_x", "validation x"), ("training_x", "training x")],
)
def test_any_name_of_a_metric_is_drawn(key, panel):
    figure = plots.history(gd.History(records(3, loss=lambda e: 1 / e, **{key: lambda e: e})))
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", panel]


@pytest.mark.parametrize("history", [gd.History([]), gd.History(records(3, loss=lambda _: math.nan))])
def test_a_history_without_numbers_is_refused(history):
    with pytest.raises(ValueError, match=r"^history: expected at least one epoch with a finite loss"):
        plots.history(history)


def test_a_run_of_fit_draws_itself(tmp_path):
    x = np.linspace(-1, 1, 20)
    w = np.zeros(1)
    history = gd.fit(
        lambda w, x, y: (np.mean((w * x - y) ** 2), np.array([2 * np.mean((w * x - y) * x)])),
        w,
        (x, 3 * x),
        gd.SGD(w, lr=0.1),
        epochs=15,
        batch_size=5,
        rng=np.random.default_rng(0),
        metrics={"rmse": gd.metrics.rmse(lambda w, x: w * x)},
        running=True,
        validation=(x + 0.5, 3 * x + 1.5),
        schedule=cosine(0.1, 60),
        progress=False,
    )
    figure = history.plot(tmp_path / "run.png")
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "rmse", "lr"]
    assert set(curves(figure.axes[1])) == {"training", "validation", "running"}
    assert (tmp_path / "run.png").stat().st_size > 1000


# The other pictures


def test_a_schedule_is_drawn_as_its_rates():
    shown = {f"cosine {n}": cosine(0.1, n) for n in range(1, 6)} | {"step": step(0.1, 5, 0.5)}
    axes = [axes for axes in plots.schedules(shown, 20).axes if axes.get_visible()]
    assert [each.get_title() for each in axes] == list(shown)
    for each, schedule in zip(axes, shown.values(), strict=True):
        np.testing.assert_array_equal(each.lines[0].get_data(), [range(21), [schedule(t) for t in range(21)]])


@pytest.mark.parametrize("names", [["ravine"], ["ravine", "rosenbrock"]])
def test_paths_and_the_lengths_of_their_steps_are_drawn(names):
    walked = [(VALLEYS[name], [walk(VALLEYS[name], run, 40) for run in VALLEYS[name].walkers]) for name in names]
    figure = draw_paths(walked)
    above, below = figure.axes[: len(names)], figure.axes[len(names) :]
    for (valley, walks), top, bottom in zip(walked, above, below, strict=True):
        drawn = curves(top)
        np.testing.assert_array_equal(drawn.pop("start").ravel(), valley.start)
        np.testing.assert_array_equal(drawn.pop("minimum").ravel(), valley.minimum)
        for path, points, lengths in zip(walks, drawn.values(), bottom.lines, strict=True):
            np.testing.assert_array_equal(points.T, path.points)
            expected = [math.dist(a, b) for a, b in zip(path.points[:-1], path.points[1:], strict=True)]
            np.testing.assert_allclose(lengths.get_data(), [range(1, 41), expected], rtol=1e-12)
        (low_x, high_x), (low_y, high_y) = top.get_xlim(), top.get_ylim()
        for path in walks:
            assert (path.points > [low_x, low_y]).all()
            assert (path.points < [high_x, high_y]).all()
        assert bottom.get_yscale() == "log"


def test_contours_are_lines_of_equal_height():
    valley = VALLEYS["rosenbrock"]
    top = draw_paths([(valley, [walk(valley, "SGD", 30)])]).axes[0]
    (contours,) = top.collections
    checked = 0
    for level, path in zip(contours.levels, contours.get_paths(), strict=True):
        heights = valley.height(path.vertices)
        checked += len(heights)
        assert np.all(abs(heights - level) < 0.05 * level + 0.05)
    assert checked > 1000


def test_the_roofline_has_a_rule_in_the_same_color_as_its_limit():
    points = [
        Point(
            rule=rule,
            dtype="float32",
            elements=n,
            held=4 * n,
            moved=4,
            ns=1.0 + i,
            limit_ns=1.0,
            numpy_ns=9.0,
            spread=0.0,
        )
        for i, rule in enumerate(("sgd", "adam"))
        for n in (100, 10)
    ]
    (axes,) = draw_roofline(points, [("L1", 100)]).axes
    for rule in ("sgd", "adam"):
        chosen = sorted((p for p in points if p.rule == rule), key=lambda p: p.held)
        (line,) = [line for line in axes.lines if line.get_label() == rule]
        np.testing.assert_array_equal(line.get_data(), [[p.held for p in chosen], [p.bandwidth for p in chosen]])
        limits = [other for other in axes.lines if other.get_color() == line.get_color() and other is not line]
        np.testing.assert_array_equal(limits[0].get_ydata(), [p.limit_bandwidth for p in chosen])


# Black and white, files


def test_lines_can_be_told_apart_without_color():
    styles = [plots.line_style(i) for i in range(6)]
    assert len({style["marker"] for style in styles}) == 6
    assert len({style["linestyle"] for style in styles[:4]}) == 4
    light = sorted(np.dot([0.299, 0.587, 0.114], to_rgb(style["color"])) for style in styles[:4])
    assert min(np.diff(light)) > 0.08
    assert light[-1] < 0.65


@pytest.mark.parametrize(("suffix", "begins"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("SVG", b"<?xml")])
def test_a_figure_is_saved_as_what_its_name_says(tmp_path, suffix, begins):
    path = tmp_path / f"run.{suffix}"
    assert plots.history(full_history(), path).axes
    assert path.read_bytes().startswith(begins)
    assert [other.name for other in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["run.bmp", "run", "png"])
def test_another_kind_of_file_is_refused_and_not_written(tmp_path, name):
    with pytest.raises(ValueError, match=r"^path: expected a file named \*\.png, \*\.pdf, \*\.svg, got"):
        plots.history(full_history(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_what_stood_there_stays_when_drawing_fails(tmp_path, monkeypatch):
    path = tmp_path / "run.png"
    path.write_bytes(b"old")
    figure = SimpleNamespace(savefig=lambda file, **_: file.write(b"half") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        plots.saved(figure, path)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_no_screen_and_no_backend_is_touched():
    code = (
        "import sys, gdcore.plots as p, gdcore.schedules as s\n"
        "p.schedules({'a': s.constant(0.1)}, 3)\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_settings_of_the_user_are_left_alone():
    before = dict(mpl.rcParams)
    plots.history(full_history())
    assert dict(mpl.rcParams) == before


def test_a_missing_matplotlib_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'gdcore\[plot\]'"):
        plots.history(full_history())
