"""Pictures, drawn by matplotlib (the extra ``plot``), saved without a screen, to be read in black and white.

Lines differ in dash and mark, and their colors in lightness. Each function returns matplotlib's ``Figure``, which a
notebook shows after ``%matplotlib inline``, and saves it where ``path`` says: a ``*.png``, ``*.pdf`` or ``*.svg``.
"""

import numbers
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .files import replacing

if TYPE_CHECKING:
    from .cli.paths import Valley, Walk
    from .cli.roofline import Point
    from .training.history import History

Floats = np.ndarray[Any, np.dtype[np.float64]]

COLORS = ("#12305c", "#c1272d", "#2a9d8f", "#dd8d1b", "#6a4c93", "0.45")
MARKS = "osD^vP"
LINES = ("-", "--", "-.", ":")
FORMATS = ("png", "pdf", "svg")

ROLES = ("training", "validation", "running")
"""The lines of one metric; what the keys of a history begin with, but for the first."""

MARKED = 12
"""About how many points of a line bear its mark."""

DECADES = 2
"""An axis of positive values that span more than these is logarithmic."""


def check_format(path: str | Path, name: str = "path") -> None:
    """Raise ValueError unless ``path`` ends like a picture, ImportError without matplotlib."""
    _matplotlib()
    if Path(path).suffix.lower().lstrip(".") not in FORMATS:
        raise ValueError(f"{name}: expected a file named *.{', *.'.join(FORMATS)}, got {str(path)!r}")


def history(history: "History", path: str | Path | None = None) -> Any:
    """Draw a run of :func:`gdcore.fit` over its epochs.

    One below the other: the losses; each metric, of training and validation; and the learning rate if it changes.
    An axis is logarithmic where all values are positive and span more than two decades. What is None or not finite
    is a gap. The epoch that is best by ``history.monitor`` is marked.

    Arguments:
        history: of one epoch or more.
        path: where to save the figure, or None to only return it.

    Raises ValueError for a history without a finite number and for a path that ends otherwise, OSError where it
    cannot be written, and ImportError without matplotlib.
    """
    columns = history.to_dict()
    panels = _panels(columns)
    if not panels:
        raise ValueError("history: expected at least one epoch with a finite loss, got none")
    heights = [1.0 if name == "lr" else 2.0 for name in panels]
    figure, grid = _figure((7.5, 1.0 + 1.4 * sum(heights)), len(panels), 1, height_ratios=heights, sharex=True)
    for (name, lines), axes in zip(panels.items(), grid[:, 0], strict=True):
        for key, values in lines.items():
            role, _ = _role(key)
            axes.plot(columns["epoch"], values, label=ROLES[role], markevery=_marked(values), **_style(role))
            if key == history.monitor:
                _mark_best(axes, grid[:, 0], history.best["epoch"], history.best[key])
        _log_if_wide(axes, np.concatenate(list(lines.values())))
        axes.set_ylabel(name.replace("_", " "))
        if len(axes.get_legend_handles_labels()[0]) > 1:
            _legend(axes)
    grid[-1, 0].set_xlabel("epoch")
    grid[-1, 0].set_xlim(columns["epoch"][0] - 0.5, columns["epoch"][-1] + 0.5)
    grid[-1, 0].xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    return _saved(figure, path)


def schedules(schedules: Mapping[str, Callable[[int], float]], steps: int, path: str | Path | None = None) -> Any:
    """Draw learning rates over the steps 0 to ``steps``, each schedule in a panel under its name."""
    columns = min(4, len(schedules))
    rows = -(-len(schedules) // columns)
    figure, grid = _figure((2.6 * columns, 2.0 * rows + 0.3), rows, columns, sharex=True, sharey=True)
    for axes in grid.flat[len(schedules) :]:
        axes.set_visible(False)
    for (name, schedule), axes in zip(schedules.items(), grid.flat, strict=False):
        rates = [schedule(step) for step in range(steps + 1)]
        axes.plot(range(steps + 1), rates, color=COLORS[0], drawstyle="steps-post", clip_on=False)
        axes.set_title(name, fontsize="medium")
    grid[0, 0].set_ylim(bottom=0)
    figure.supxlabel("step", fontsize="medium")
    figure.supylabel("learning rate", fontsize="medium")
    return _saved(figure, path)


def paths(walked: Sequence[tuple["Valley", Sequence["Walk"]]], path: str | Path | None = None) -> Any:
    """Draw each valley's contours with the walks down it, and below the distance that each step went."""
    figure, grid = _figure((5.6 * len(walked), 6.8), 2, len(walked), height_ratios=(3, 2))
    for (valley, walks), (above, below) in zip(walked, grid.T, strict=True):
        _contours(above, valley, np.concatenate([walk.points for walk in walks]))
        for index, walk in enumerate(walks):
            style, label = _style(index), f"{walk.name}, lr {walk.lr:g}"
            above.plot(*walk.points.T, label=label, markevery=0.06, linewidth=1.2, **style)
            above.plot(*walk.points[-1:].T, **{**style, "markersize": 9, "markeredgecolor": "white"}, zorder=3)
            lengths = np.where(walk.lengths > 0, walk.lengths, np.nan)
            steps = range(1, len(lengths) + 1)
            below.plot(steps, lengths, markevery=_marked(lengths), linewidth=1.2, **style)
        above.plot(*valley.start, "ko", markersize=10, fillstyle="none", label="start")
        above.plot(*valley.minimum, "k+", markersize=15, zorder=4, label="minimum")
        above.set_title(f"{valley.name}: ${valley.formula}$")
        _legend(above)
        above.set_xlabel("x")
        above.set_ylabel("y")
        below.set_yscale("log")
        below.set_xlabel("step")
        below.set_ylabel("distance per step")
    return _saved(figure, path)


def roofline(points: Sequence["Point"], caches: Sequence[tuple[str, int]], path: str | Path | None = None) -> Any:
    """Draw throughput against the size of the arrays, with the limit and the sizes of the caches.

    Both axes are logarithmic. Behind each rule's line lies, broad and pale, that of the loop that reads and writes
    what the rule does and computes next to nothing.
    """
    figure, grid = _figure((7.5, 5))
    axes = grid[0, 0]
    axes.set_title("Throughput of a step on this machine")
    for index, name in enumerate(dict.fromkeys(point.rule for point in points)):
        chosen = sorted((point for point in points if point.rule == name), key=lambda point: point.held)
        held = [point.held for point in chosen]
        limit = [point.limit_bandwidth for point in chosen]
        axes.plot(held, limit, color=COLORS[index % len(COLORS)], alpha=0.25, linewidth=7)
        axes.plot(held, [point.bandwidth for point in chosen], label=name, **_style(index))
    axes.plot([], [], color="0.5", alpha=0.4, linewidth=7, label="limit: same reads and writes, no arithmetic")
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = axes.get_xlim()
    for name, size in caches:
        if low < size < high:
            axes.axvline(size, color="0.4", linewidth=0.8, linestyle=(0, (1, 3)))
            axes.text(size, axes.get_ylim()[1], f"{name} ", va="top", ha="right", color="0.3")
    axes.set_xlabel("bytes in all arrays of the step")
    axes.set_ylabel("GB read and written a second")
    _legend(axes)
    return _saved(figure, path)


def _panels(columns: Mapping[str, list[Any]]) -> dict[str, dict[str, Floats]]:
    """Return what is drawn of a history: by panel, then by key."""
    panels: dict[str, dict[str, Floats]] = {}
    for key, column in columns.items():
        if key in {"epoch", "seconds"} or not all(value is None or _is_real(value) for value in column):
            continue
        values = np.array([np.nan if value is None else value for value in column], float)
        values[np.isinf(values)] = np.nan
        if not np.isnan(values).all():
            panels.setdefault(_role(key)[1], {})[key] = values
    rates = panels.pop("lr", {}).get("lr")
    if rates is not None and np.nanmin(rates) < np.nanmax(rates):
        panels["lr"] = {"lr": rates}
    return panels


def _role(key: str) -> tuple[int, str]:
    """Return the index in ROLES, and the name of the metric."""
    role, _, name = key.partition("_")
    return (ROLES.index(role), name) if role in ROLES[1:] and name else (0, key)


def _is_real(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _mark_best(axes: Any, all_axes: Sequence[Any], epoch: int, value: float) -> None:
    for each in all_axes:
        each.axvline(epoch, color="0.6", linewidth=0.8, linestyle=(0, (1, 3)), zorder=1)
    label = f"best: {value:.4g}, epoch {epoch}"
    axes.plot([epoch], [value], "ko", markersize=11, fillstyle="none", label=label)


def _contours(axes: Any, valley: "Valley", points: Floats) -> None:
    """Draw lines of equal height, each a fixed factor above the next, around all ``points``."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.12 * (high - low)
    x, y = (np.linspace(*ends, 241) for ends in zip(low - margin, high + margin, strict=True))
    heights = valley.height(np.stack(np.meshgrid(x, y), axis=-1))
    levels = np.geomspace(1e-5, 1, 16) * heights.max()
    axes.contour(x, y, heights, levels=levels, colors="0.75", linewidths=0.7)


def _marked(values: Floats) -> list[int]:
    """Return which points bear a mark: some of all, and those that would be invisible without, being alone."""
    gap = np.isnan(np.concatenate([[np.nan], values, [np.nan]]))
    alone = gap[:-2] & gap[2:]
    return [i for i in range(len(values)) if i % max(1, len(values) // MARKED) == 0 or alone[i]]


def _log_if_wide(axes: Any, values: Floats) -> None:
    low, high = np.nanmin(values), np.nanmax(values)
    if low > 0 and high > 10**DECADES * low:
        axes.set_yscale("log")


def _style(index: int) -> dict[str, Any]:
    return {
        "color": COLORS[index % len(COLORS)],
        "marker": MARKS[index % len(MARKS)],
        "linestyle": LINES[index % len(LINES)],
        "markersize": 5,
    }


def _legend(axes: Any) -> None:
    axes.legend(frameon=True, facecolor="white", edgecolor="none", framealpha=0.9)


def _matplotlib() -> Any:
    try:
        import matplotlib  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("a picture needs matplotlib: pip install 'gdcore[plot]'") from error
    return matplotlib


def _figure(size: tuple[float, float], rows: int = 1, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """Return a figure and its axes, an array of shape (rows, columns)."""
    _matplotlib()
    from matplotlib.figure import Figure  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

    figure = Figure(figsize=size, layout="constrained", dpi=150)
    grid = figure.subplots(rows, columns, squeeze=False, **options)
    for axes in grid.flat:
        axes.grid(visible=True, which="major", color="0.9", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, grid


def _saved(figure: Any, path: str | Path | None) -> Any:
    if path is not None:
        check_format(path)
        with replacing(path) as file:
            figure.savefig(file, format=Path(path).suffix.lower().lstrip("."))
    return figure
