"""The worked example: all four optimizers on the line y = 2x + 30, one sample a step, in fixed order.

``x_i = 1 + (37 i mod 97)`` for i = 0..28; the parameters (a, b) start at (1, 1); the loss is ``(a x + b - y)^2``.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..optimizers import SGD, Adam, Momentum, RMSProp
from ..schedules import cosine
from ..stepping import Optimizer
from ..training import History, Record, fit
from .aligned import Aligned

Floats = NDArray[np.float64]

X: Final[Floats] = np.array([1.0 + (37 * i) % 97 for i in range(29)])
Y: Final[Floats] = 2 * X + 30
GOAL: Final = (2.0, 30.0)
EPOCHS: Final = 50

STEPPERS: Final[Mapping[str, tuple[type[Optimizer], Mapping[str, Any]]]] = {
    "SGD": (SGD, {"lr": 1e-4}),
    "Momentum": (Momentum, {"lr": 1e-4, "beta": 0.9}),
    "RMSProp": (RMSProp, {"lr": 0.02, "beta": 0.9, "eps": 1e-8}),
    "Adam": (Adam, {"lr": 0.1, "betas": (0.9, 0.999), "eps": 1e-8}),
}
"""The settings of the notes."""

LONGER: Final = {"SGD": (8000, False), "Momentum": (8000, False), "RMSProp": (300, True), "Adam": (200, True)}
"""With how many epochs each arrives, and whether its learning rate falls to 0 along a cosine meanwhile."""


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


def arrived(kind: Callable[..., Optimizer], values: Mapping[str, Any], epochs: int, *, falling: bool) -> Floats:
    """Return where an optimizer is after so many epochs of the same steps, in plain numbers, which is quicker.

    >>> arrived(Adam, {"lr": 0.1}, 200, falling=True).round(4)
    array([ 2., 30.])
    """
    line, grad = np.ones(2), np.empty(2)
    optimizer = kind(line, **values)
    rate = cosine(values["lr"], epochs * len(X))
    points = list(zip(X.tolist(), Y.tolist(), strict=True))
    for _ in range(epochs):
        for x, y in points:
            slope = 2 * (line.item(0) * x + line.item(1) - y)
            grad[0], grad[1] = slope * x, slope
            if falling:
                optimizer.lr = rate(optimizer.t)
            optimizer.step(grad)
    return line


def followed(epochs: int = EPOCHS) -> str:
    """Return how the optimizers do side by side, how close each came to (2, 30), and how each arrives there."""
    histories = {name: follow(kind, values, epochs) for name, (kind, values) in STEPPERS.items()}
    every = max(1, math.ceil(epochs / 10))
    shown = sorted({1, *range(every, epochs + 1, every), epochs})
    over = Aligned(("", ">5"), *((name, ">18") for name in STEPPERS))
    below = Aligned(("epoch", ">5"), *(("a", ">6.2f"), ("b", ">6.2f"), ("RMSE", ">6.2f")) * len(STEPPERS))
    lines = [
        f"Fitting y = a x + b to {len(X)} points of y = 2 x + 30, from (1, 1), one point a step.",
        "",
        over.head(),
        over.line("", *(f"lr {values['lr']:g}" for _, values in STEPPERS.values())),
        below.head(),
    ]
    for epoch in shown:
        records = [history.records[epoch - 1] for history in histories.values()]
        lines.append(below.line(epoch, *(record[key] for record in records for key in ("a", "b", "rmse"))))
    lines.append("")
    for name, history in histories.items():
        last = history.records[-1]
        da, db = last["a"] - GOAL[0], last["b"] - GOAL[1]
        lines.append(
            f"{name:<8} is at a = {last['a']:.4f} ({da:+.4f} from 2), b = {last['b']:.4f} ({db:+.4f} from 30)"
        )
    lines += ["", "All of them arrive, with more epochs or a learning rate that falls:", ""]
    for name, (more, falling) in LONGER.items():
        a, b = arrived(*STEPPERS[name], more, falling=falling)
        how = f"{more} epochs{', lr down to 0 along a cosine' if falling else ''}"
        lines.append(f"{name:<8} a = {a:.4f}, b = {b:.4f}   after {how}")
    lines += ["", "gdcore train --epochs 1000 shows more of the way."]
    return "\n".join(lines)
