"""How the optimizers walk down valleys: what the picture shows holds, and the command draws it."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

import gdcore as gd
from gdcore.cli.paths import REACHED, VALLEYS, walk
from gdcore.schedules import cosine

RUNS = [(valley, run) for valley in VALLEYS.values() for run in valley.walkers]
everyone = pytest.mark.parametrize(("valley", "run"), RUNS, ids=[f"{v.name} {run}" for v, run in RUNS])
valleys = pytest.mark.parametrize("valley", VALLEYS.values(), ids=VALLEYS)


def path(valley, run):
    return walk(VALLEYS[valley], run, VALLEYS[valley].steps)


def crossings(coordinate):
    """How often the coordinate changes its sign."""
    return int((np.diff(np.sign(coordinate)) != 0).sum())


# Valleys


@valleys
def test_the_gradient_is_that_of_the_height(valley):
    for point in np.random.default_rng(0).uniform(-2, 2, (20, 2)):
        gd.check_grads(valley.height, point)
        np.testing.assert_allclose(valley.gradient(point), gd.grad(valley.height)(point), rtol=1e-12, atol=1e-12)


@valleys
def test_the_minimum_is_at_height_0_with_gradient_0_and_lies_in_a_bowl(valley):
    point = np.array(valley.minimum)
    assert valley.height(point) == 0.0
    assert not valley.gradient(point).any()
    assert (np.linalg.eigvalsh(gd.hessian(valley.height)(point)) > 0).all()


@valleys
def test_a_valley_is_much_steeper_across_than_along(valley):
    along, across = np.linalg.eigvalsh(gd.hessian(valley.height)(np.array(valley.minimum)))
    assert across >= 39 * along


# Walks


@everyone
def test_a_walk_is_the_optimizers_steps_by_the_reference(valley, run):
    kind, values = valley.walkers[run]
    rule = gd.reference.__dict__[kind.rule.name]
    point = np.array(valley.start)
    slots = [np.zeros(2) for name in kind.rule.used_slots({**kind.rule.hyperparameters, **values}) if name]
    expected = [point.copy()]
    for t in range(1, 51):
        rule(point, valley.gradient(point), *slots, **({"t": t} if kind is gd.Adam else {}), **values)
        expected.append(point.copy())
    assert walk(valley, run, 50).points.tobytes() == np.array(expected).tobytes()


@everyone
def test_every_walk_comes_down(valley, run):
    heights = valley.height(walk(valley, run, valley.steps).points)
    assert heights[-1] < heights[0] / 100


@everyone
def test_no_way_is_shorter_than_the_straight_line(valley, run):
    walked = walk(valley, run, 30)
    assert walked.points.shape == (31, 2)
    assert walked.lengths.shape == (30,)
    assert walked.lengths.sum() >= math.dist(walked.points[0], walked.points[-1])


def test_sgd_zig_zags_across_the_ravine_and_never_along_it():
    x, y = path("ravine", "SGD").points.T
    np.testing.assert_allclose(y, 2 * (-0.8) ** np.arange(61), rtol=1e-12)
    np.testing.assert_allclose(x, -9 * 0.955 ** np.arange(61), rtol=1e-12)


def test_sgd_with_half_the_steepness_inverted_jumps_for_ever():
    valley = VALLEYS["ravine"]
    point = np.array(valley.start)
    opt = gd.SGD(point, lr=0.5)
    for t in range(1, 100):
        opt.step(valley.gradient(point))
        assert point[1] == 2 * (-1) ** t


def test_momentum_damps_the_zig_zag_at_the_same_learning_rate():
    sgd, momentum = path("ravine", "SGD"), path("ravine", "Momentum")
    assert momentum.lr == sgd.lr
    assert (crossings(sgd.points[:, 1]), crossings(momentum.points[:, 1])) == (60, 12)
    assert abs(momentum.points[1:, 1].min()) < abs(sgd.points[1:, 1].min())
    assert momentum.lengths.sum() < 0.6 * sgd.lengths.sum()
    assert momentum.lengths.max() < sgd.lengths.max()


def test_rmsprop_goes_nearly_straight():
    walked = path("ravine", "RMSProp")
    assert crossings(walked.points[:31, 1]) == 0
    assert walked.lengths.sum() < 1.05 * math.dist(walked.points[0], walked.points[-1])


def test_adam_swings_less_often_than_momentum():
    assert crossings(path("ravine", "Adam").points[:, 1]) < crossings(path("ravine", "Momentum").points[:, 1])


def test_momentum_and_adam_end_nearer_to_rosenbrocks_minimum_than_sgd():
    valley = VALLEYS["rosenbrock"]
    left = {run: math.dist(path("rosenbrock", run).points[-1], valley.minimum) for run in valley.walkers}
    assert max(left["Momentum"], left["Adam"]) < 0.05 * left["SGD"]


def test_a_falling_learning_rate_stops_rmsprop_from_jumping_from_wall_to_wall():
    valley = VALLEYS["rosenbrock"]
    constant = path("rosenbrock", "RMSProp")
    point, schedule = np.array(valley.start), cosine(constant.lr, valley.steps)
    opt = gd.RMSProp(point)
    for _ in range(valley.steps):
        opt.lr = schedule(opt.t)
        opt.step(valley.gradient(point))
    assert 0.0135 < constant.lengths[-500:].min() < constant.lengths[-500:].max() < 0.0155
    end = constant.points[-1]
    assert abs(end[1] - end[0] ** 2) > 0.01
    assert abs(point[1] - point[0] ** 2) < 0.001


# The command


def test_the_table_says_where_each_came_to(gdc):
    status, out, err = gdc("paths", "--steps", "70", "--valley", "ravine")
    assert (status, err) == (0, "")
    valley = VALLEYS["ravine"]
    rows = {row[0]: row[1:] for row in map(str.split, out.splitlines()) if row and row[0] in valley.walkers}
    assert list(rows) == list(valley.walkers)
    for run, (lr, x, y, height, left, length, *after) in rows.items():
        walked = walk(valley, run, 70)
        np.testing.assert_allclose([float(x), float(y)], walked.points[-1], atol=5.1e-5)
        assert float(lr) == walked.lr
        assert float(height) == pytest.approx(valley.height(walked.points[-1]), rel=0.01)
        assert float(left) == pytest.approx(math.dist(walked.points[-1], valley.minimum), rel=0.01)
        assert float(length) == pytest.approx(walked.lengths.sum(), abs=0.006)
        below = [t for t, point in enumerate(walked.points) if valley.height(point) < REACHED]
        assert after == ([str(below[0]), "steps"] if below else ["-"])


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ([], ["A ravine, ", "Rosenbrock's valley, "]),
        (["--valley", "both"], ["A ravine, ", "Rosenbrock's valley, "]),
        (["--valley", "rosenbrock"], ["Rosenbrock's valley, "]),
    ],
)
def test_each_valley_has_a_table(gdc, flags, named):
    status, out, _ = gdc("paths", *flags)
    assert status == 0
    assert [start for start in ("A ravine, ", "Rosenbrock's valley, ") if start in out] == named


@pytest.mark.parametrize("valley", [*VALLEYS, "both"])
def test_paths_are_drawn(gdc, valley):
    status, out, err = gdc("paths", "--steps", "1", "--valley", valley, "--plot", "paths.svg")
    assert (status, err) == (0, "")
    assert out.endswith("saved paths.svg\n")
    assert "<svg" in Path("paths.svg").read_text("utf-8")


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (["--steps", "0"], 2, "argument --steps: expected an integer from 1 to 1000000, got '0'"),
        (["--steps", "many"], 2, "argument --steps: expected an integer from 1 to 1000000, got 'many'"),
        (["--valley", "flat"], 2, "argument --valley: invalid choice: 'flat'"),
        (["--plot", "paths.bmp"], 2, "--plot: expected a file named *.png, *.pdf, *.svg, got 'paths.bmp'"),
        (["--plot", "no/paths.png"], 1, "no/paths.png: expected a directory that exists"),
    ],
)
def test_bad_arguments_of_paths_are_one_line(gdc, flags, status, message):
    got, out, err = gdc("paths", *flags)
    assert (got, out) == (status, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_missing_matplotlib_is_told_before_the_walk(gdc, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, out, err = gdc("paths", "--plot", "paths.png")
    assert (status, out) == (1, "")
    assert err == "gdcore: error: a picture needs matplotlib: pip install 'gdcore[plot]'\n"
    assert gdc("paths", "--steps", "1")[0] == 0
