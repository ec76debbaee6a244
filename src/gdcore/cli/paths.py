"""The classic picture: how SGD, Momentum, RMSProp and Adam walk down a ravine and Rosenbrock's valley."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..optimizers import SGD, Adam, Momentum, RMSProp
from ..plots import legend, line_style, marked, new_figure, saved
from ..stepping import Optimizer
from .errors import SUCCESS, check_plot

Floats = NDArray[np.float64]
Run = tuple[Callable[..., Optimizer], Mapping[str, Any]]

REACHED: Final = 1e-3
"""The height below which a valley's bottom counts as reached."""


@dataclass(frozen=True)
class Valley:
    """A function of (x, y) with the minimum 0, and how each optimizer walks down it.

    ``height(points)`` takes points of shape (..., 2), ``gradient(point)`` one of shape (2,). ``runs`` has an
    optimizer and its hyperparameters by name, and ``steps`` how many show what they do.
    """

    name: str
    formula: str
    height: Callable[[Floats], Floats]
    gradient: Callable[[Floats], Floats]
    start: tuple[float, float]
    minimum: tuple[float, float]
    steps: int
    runs: Mapping[str, Run]


@dataclass(frozen=True)
class Walk:
    """Where an optimizer was: ``points`` has shape (steps + 1, 2), and row t is the point after t steps."""

    name: str
    lr: float
    points: Floats

    @property
    def lengths(self) -> Floats:
        """The distance that each step went, shape (steps,)."""
        lengths: Floats = np.hypot(*np.diff(self.points, axis=0).T)
        return lengths


def ravine(points: Floats) -> Floats:
    """Return ``x^2 / 20 + 2 y^2``, 40 times as steep across as along.

    >>> float(ravine(np.array([10.0, 1.0])))
    7.0
    """
    x, y = points[..., 0], points[..., 1]
    return x * x / 20 + 2 * y * y


def ravine_gradient(point: Floats) -> Floats:
    """Return the gradient of :func:`ravine`.

    >>> ravine_gradient(np.array([10.0, 1.0]))
    array([1., 4.])
    """
    return point * (0.1, 4.0)


def rosenbrock(points: Floats) -> Floats:
    """Return ``(1 - x)^2 + 100 (y - x^2)^2``, a curved valley. Rosenbrock (1960).

    >>> float(rosenbrock(np.array([-1.0, 1.0])))
    4.0
    """
    x, y = points[..., 0], points[..., 1]
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2


def rosenbrock_gradient(point: Floats) -> Floats:
    """Return the gradient of :func:`rosenbrock`.

    >>> rosenbrock_gradient(np.array([-1.0, 1.0]))
    array([-4.,  0.])
    """
    x, y = point
    return np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])


VALLEYS: Final[Mapping[str, Valley]] = {
    "ravine": Valley(
        name="A ravine",
        formula="x^2 / 20 + 2 y^2",
        height=ravine,
        gradient=ravine_gradient,
        start=(-9.0, 2.0),
        minimum=(0.0, 0.0),
        steps=60,
        runs={
            "SGD": (SGD, {"lr": 0.45}),
            "Momentum": (Momentum, {"lr": 0.45, "beta": 0.8}),
            "RMSProp": (RMSProp, {"lr": 0.2}),
            "Adam": (Adam, {"lr": 0.4}),
        },
    ),
    "rosenbrock": Valley(
        name="Rosenbrock's valley",
        formula="(1 - x)^2 + 100 (y - x^2)^2",
        height=rosenbrock,
        gradient=rosenbrock_gradient,
        start=(-1.2, 1.0),
        minimum=(1.0, 1.0),
        steps=1000,
        runs={
            "SGD": (SGD, {"lr": 0.0018}),
            "Momentum": (Momentum, {"lr": 0.01}),
            "RMSProp": (RMSProp, {"lr": 0.01}),
            "Adam": (Adam, {"lr": 0.1}),
        },
    ),
}


def walk(valley: Valley, name: str, steps: int) -> Walk:
    """Return the path of one of the valley's runs.

    >>> walk(VALLEYS["ravine"], "SGD", steps=2).points.round(4)
    array([[-9.    ,  2.    ],
           [-8.595 , -1.6   ],
           [-8.2082,  1.28  ]])
    """
    kind, values = valley.runs[name]
    point = np.array(valley.start)
    optimizer = kind(point, **values)
    points = [point.copy()]
    for _ in range(steps):
        optimizer.step(valley.gradient(point))
        points.append(point.copy())
    return Walk(name, values["lr"], np.array(points))


def paths(args: argparse.Namespace) -> int:
    """Print where each optimizer came to, and draw how."""
    if args.plot is not None:
        check_plot(args.plot)
    chosen = VALLEYS.values() if args.valley == "both" else [VALLEYS[args.valley]]
    walked = []
    for valley in chosen:
        walks = [walk(valley, name, args.steps or valley.steps) for name in valley.runs]
        walked.append((valley, walks))
        print(_table(valley, walks))
    if args.plot is not None:
        draw_paths(walked, args.plot)
        print(f"saved {args.plot}")
    return SUCCESS


def _table(valley: Valley, walks: list[Walk]) -> str:
    lines = [
        f"{valley.name}, {valley.formula}: from {valley.start} to the minimum at {valley.minimum}, "
        f"{len(walks[0].points) - 1} steps",
        f"{'':<8}{'lr':>8}{'x':>10}{'y':>10}{'f':>11}{'to minimum':>12}{'walked':>9}{f'f < {REACHED:g} after':>18}",
    ]
    for taken in walks:
        end = taken.points[-1]
        reached = np.flatnonzero(valley.height(taken.points) < REACHED)
        after = f"{reached[0]} steps" if len(reached) else "-"
        lines.append(
            f"{taken.name:<8}{taken.lr:>8g}{end[0]:>10.4f}{end[1]:>10.4f}{valley.height(end):>11.2e}"
            f"{np.hypot(*(end - valley.minimum)):>12.2e}{taken.lengths.sum():>9.2f}{after:>18}"
        )
    return "\n".join([*lines, ""])


def draw_paths(walked: Sequence[tuple[Valley, Sequence[Walk]]], path: str | Path | None = None) -> Any:
    """Draw each valley's contours with the walks down it, and below the distance that each step went."""
    figure, grid = new_figure((5.6 * len(walked), 6.8), 2, len(walked), height_ratios=(3, 2))
    for (valley, walks), (above, below) in zip(walked, grid.T, strict=True):
        _contours(above, valley, np.concatenate([walk.points for walk in walks]))
        for index, walk in enumerate(walks):
            style, label = line_style(index), f"{walk.name}, lr {walk.lr:g}"
            above.plot(*walk.points.T, label=label, markevery=0.06, linewidth=1.2, **style)
            above.plot(*walk.points[-1:].T, **{**style, "markersize": 9, "markeredgecolor": "white"}, zorder=3)
            lengths = np.where(walk.lengths > 0, walk.lengths, np.nan)
            steps = range(1, len(lengths) + 1)
            below.plot(steps, lengths, markevery=marked(lengths), linewidth=1.2, **style)
        above.plot(*valley.start, "ko", markersize=10, fillstyle="none", label="start")
        above.plot(*valley.minimum, "k+", markersize=15, zorder=4, label="minimum")
        above.set_title(f"{valley.name}: ${valley.formula}$")
        legend(above)
        above.set_xlabel("x")
        above.set_ylabel("y")
        below.set_yscale("log")
        below.set_xlabel("step")
        below.set_ylabel("distance per step")
    return saved(figure, path)


def _contours(axes: Any, valley: Valley, points: Floats) -> None:
    """Draw lines of equal height, each a fixed factor above the next, around all ``points``."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.12 * (high - low)
    x, y = (np.linspace(*ends, 241) for ends in zip(low - margin, high + margin, strict=True))
    heights = valley.height(np.stack(np.meshgrid(x, y), axis=-1))
    levels = np.geomspace(1e-5, 1, 16) * heights.max()
    axes.contour(x, y, heights, levels=levels, colors="0.75", linewidths=0.7)
