"""The worked example: all four optimizers on the line y = 2x + 30, one sample a step, in fixed order.

``x_i = 1 + (37 i mod 97)`` for i = 0..28; the parameters (a, b) start at (1, 1); the loss is ``(a x + b - y)^2``.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..optimizers import SGD, Adam, Momentum, RMSProp
from ..stepping import Optimizer
from ..training import History, Record, fit

Floats = NDArray[np.float64]

X: Final[Floats] = np.array([1.0 + (37 * i) % 97 for i in range(29)])
Y: Final[Floats] = 2 * X + 30
GOAL: Final = (2.0, 30.0)
EPOCHS: Final = 50

RUNS: Final[Mapping[str, tuple[type[Optimizer], Mapping[str, Any]]]] = {
    "SGD": (SGD, {"lr": 1e-4}),
    "Momentum": (Momentum, {"lr": 1e-4, "beta": 0.9}),
    "RMSProp": (RMSProp, {"lr": 0.02, "beta": 0.9, "eps": 1e-8}),
    "Adam": (Adam, {"lr": 0.1, "betas": (0.9, 0.999), "eps": 1e-8}),
}


def squared_error(line: Floats, x: Floats, y: Floats) -> tuple[float, Floats]:
    """Return the mean of ``(a x + b - y)^2`` over a batch, and its gradient by (a, b).

    >>> squared_error(np.array([1.0, 1.0]), np.array([3.0]), np.array([6.0]))
    (4.0, array([-12.,  -4.]))
    """
    r = line[0] * x + line[1] - y
    return float(np.mean(r**2)), np.array([2 * np.mean(r * x), 2 * np.mean(r)])


def follow(kind: Callable[..., Optimizer], values: Mapping[str, Any], epochs: int) -> History:
    """Fit the line with one optimizer; a record has ``a``, ``b`` and the ``rmse`` of all points after its epoch.

    >>> follow(SGD, {"lr": 1e-4}, epochs=1).records[0]["rmse"]  # doctest: +ELLIPSIS
    14.850747...
    """
    line = np.ones(2)

    def look(record: Record, line: Floats) -> None:
        rmse = float(np.sqrt(np.mean((line[0] * X + line[1] - Y) ** 2)))
        record.update(a=float(line[0]), b=float(line[1]), rmse=rmse)

    return fit(
        squared_error, line, (X, Y), kind(line, **values),
        epochs=epochs, batch_size=1, rng=None, shuffle=False, callback=look,
    )  # fmt: skip


def report(epochs: int = EPOCHS) -> str:
    """Return the four runs side by side, and how close each came to (2, 30)."""
    histories = {name: follow(kind, values, epochs) for name, (kind, values) in RUNS.items()}
    every = max(1, math.ceil(epochs / 10))
    shown = sorted({1, *range(every, epochs + 1, every), epochs})
    rates = [values["lr"] for _, values in RUNS.values()]
    lines = [
        f"Fitting y = a x + b to {len(X)} points of y = 2 x + 30, from (1, 1), one point a step.",
        "",
        " " * 5 + "".join(f"  {name:>16}" for name in RUNS),
        " " * 5 + "".join(f"  {f'lr {rate:g}':>16}" for rate in rates),
        "epoch" + "".join(f"  {'a':>4} {'b':>5} {'RMSE':>5}" for _ in RUNS),
    ]
    for epoch in shown:
        records = [history.records[epoch - 1] for history in histories.values()]
        lines.append(f"{epoch:>5}" + "".join(f"  {r['a']:4.2f} {r['b']:5.2f} {r['rmse']:5.2f}" for r in records))
    lines.append("")
    for name, history in histories.items():
        last = history.records[-1]
        da, db = last["a"] - GOAL[0], last["b"] - GOAL[1]
        lines.append(
            f"{name:<8} is at a = {last['a']:.4f} ({da:+.4f} from 2), b = {last['b']:.4f} ({db:+.4f} from 30)"
        )
    lines += ["", "gdcore train --epochs 1000 follows them further."]
    return "\n".join(lines)
