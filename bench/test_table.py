"""Every row of the table of gates that HIPS autograd differentiates too: there and back, beside it.

The examples are those of the rows, as the tests walk them, and the same ten times as long in each axis. Answers are
compared first. CPU time of the thread, so that other programs matter less: there are some hundred rows.
"""

from collections.abc import Callable
from functools import reduce
from statistics import median
from time import thread_time_ns
from types import CellType, FunctionType
from typing import Any

import numpy as np
import pytest
from derivatives import conftest  # noqa: F401  # it reads SciPy's rows
from derivatives.test_gates import LOST, REFUSALS, drawer, is_parameter, split
from threadpoolctl import threadpool_limits

import gdcore as gd
from gdcore.derivatives.gates.table import TABLE, Row
from gdcore.derivatives.refusals import name_of
from gdcore.trees import flatten

autograd = pytest.importorskip("autograd")
anp = pytest.importorskip("autograd.numpy")
for module in ("integrate", "linalg", "signal", "special", "stats"):
    pytest.importorskip(f"autograd.scipy.{module}")

SIZES = {"as in the tests": 1, "ten times as long": 10}
BLOCK, ROUNDS = 2_000_000, 7
Step = Callable[[], Any]
NUMPY = {"np": anp, "scipy": autograd.scipy, "gd.scipy": autograd.scipy}


def namesake(name: str) -> Any:
    """Return the function of autograd's that bears a name, or None."""
    root = next((root for root in NUMPY if name.startswith(f"{root}.")), None)
    parts = name.removeprefix(f"{root}.").split(".")
    return root and reduce(lambda x, part: getattr(x, part, None), parts, NUMPY[root])


def theirs(row: Row) -> Any:
    """Return what calls autograd with the examples of a row, or None."""
    function = namesake(name_of(row.function))
    if function is None or row.of is row.function or name_of(row.function).startswith("gd."):
        return function
    of: Any = row.of  # the same lines, with their NumPy
    cells = [CellType(namesake(name_of(cell.cell_contents)) or cell.cell_contents) for cell in of.__closure__ or ()]
    return FunctionType(of.__code__, of.__globals__ | {"np": anp}, of.__name__, of.__defaults__, tuple(cells))


ROWS = {name_of(row.function): row for row in TABLE if theirs(row) is not None}


def step(gradient: Any, numpy: Any, function: Any, example: tuple[Any, ...]) -> Step:
    """Return the gradient of the weighted sum of an example, which is to be worked out."""
    args, kwargs = split(example)
    at = [i for i, x in enumerate(args) if is_parameter(x)]

    def total(params: Any, weights: Any) -> Any:
        given = list(args)
        for i, x in zip(at, params, strict=True):
            given[i] = x
        return numpy.sum(function(*given, **kwargs) * weights)

    shape = np.shape(gd.stop_gradient(function(*args, **kwargs)))
    weights = np.random.default_rng(3).uniform(0.5, 1.5, shape)
    differentiated = gradient(total)
    return lambda: differentiated([args[i] for i in at], weights)


def ratio(ours: Step, theirs: Step) -> tuple[float, float]:
    """Return our time, in us, and how many times theirs it is: medians of rounds in turn."""
    turns = [(one, max(1, int(BLOCK / max(1, block(one, 3)))), []) for one in (ours, theirs)]
    for index in range(ROUNDS):
        for one, count, times in turns if index % 2 else reversed(turns):
            times.append(block(one, count))
    mine, other = (median(times) for _, _, times in turns)
    return mine / 1000, mine / other


def block(one: Step, count: int) -> float:
    one()
    start = thread_time_ns()
    for _ in range(count):
        one()
    return (thread_time_ns() - start) / count


def pairs(row: Row, factor: int) -> list[tuple[Step, Step]]:
    """Return our steps and theirs for those examples that both differentiate, with the same gradients."""
    draw = drawer(name_of(row.function))
    found = []
    try:
        examples = row.examples(lambda *shape, **ends: draw(*(n * factor for n in shape), **ends))
    except ValueError:  # an array of the example has a fixed size
        return []
    for example in examples:
        if split(example)[1].keys() & LOST:
            continue
        try:
            ours = step(gd.grad, np, row.of if row.of is not row.function else row.function, example)
            other = step(autograd.grad, anp, theirs(row), example)
            got, expected = flatten(ours()), flatten(other())
        except (*REFUSALS, RuntimeError):  # theirs lacks the form; or the example has another meaning at this size
            continue
        finite = all(np.isfinite(x).all() for x in expected)
        if finite and all(np.allclose(a, b, 1e-6, 1e-8) for a, b in zip(got, expected, strict=True)):
            found.append((ours, other))
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", SIZES)
def test_table(size: str, pytestconfig: pytest.Config, record_gates: Callable[..., None]) -> None:
    """One line for each row, that of its worst example, and one for all."""
    short, worst = pytestconfig.getoption("short"), {}
    with threadpool_limits(1), np.errstate(all="ignore"):
        for name, row in ROWS.items():
            steps = pairs(row, SIZES[size])
            if steps and not short:
                worst[name] = max((ratio(*pair) for pair in steps), key=lambda found: found[1])
    for name, (time, found) in sorted(worst.items(), key=lambda item: -item[1][1]):
        times = f"{time:,.1f} us", f"{time / found:,.1f} us"
        record_gates(f"{name}, {size}", "autograd", *times, f"{found:.3f}", "", "<= 1")
    ratios = [found for _, found in worst.values()]
    if ratios:
        text = f"{len(ratios)} rows, median {median(ratios):.2f}, {sum(r > 1 for r in ratios)} above 1"
        record_gates(f"all rows, {size}", "autograd", text, "", f"{max(ratios):.3f}", "", "<= 1")
