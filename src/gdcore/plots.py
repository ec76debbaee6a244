"""Pictures, drawn by matplotlib (the extra ``plot``), saved without a screen, to be read in black and white.

Lines differ in dash and mark, and their colors in lightness. Each function returns matplotlib's ``Figure``, which a
notebook shows after ``%matplotlib inline``, and saves it where ``path`` says: a ``*.png``, ``*.pdf`` or ``*.svg``.
"""

import numbers
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .files import replacing

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


class Run(Protocol):
    """What is drawn of a :class:`gdcore.History`."""

    monitor: str

    @property
    def best(self) -> Mapping[str, Any]:
        """The record of the best epoch."""

    def to_dict(self) -> Mapping[str, list[Any]]:
        """Return the columns by key."""


def check_format(path: str | Path, name: str = "path") -> None:
    """Raise ValueError unless ``path`` ends like a picture, ImportError without matplotlib."""
    _matplotlib()
    if Path(path).suffix.lower().lstrip(".") not in FORMATS:
        raise ValueError(f"{name}: expected a file named *.{', *.'.join(FORMATS)}, got {str(path)!r}")


def history(history: Run, path: str | Path | None = None) -> Any:
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
    figure, grid = new_figure((7.5, 1.0 + 1.4 * sum(heights)), len(panels), 1, height_ratios=heights, sharex=True)
    for (name, lines), axes in zip(panels.items(), grid[:, 0], strict=True):
        for key, values in lines.items():
            role, _ = _role(key)
            axes.plot(columns["epoch"], values, label=ROLES[role], markevery=marked(values), **line_style(role))
            if key == history.monitor:
                _mark_best(axes, grid[:, 0], history.best["epoch"], history.best[key])
        _log_if_wide(axes, np.concatenate(list(lines.values())))
        axes.set_ylabel(name.replace("_", " "))
        if len(axes.get_legend_handles_labels()[0]) > 1:
            legend(axes)
    grid[-1, 0].set_xlabel("epoch")
    grid[-1, 0].set_xlim(columns["epoch"][0] - 0.5, columns["epoch"][-1] + 0.5)
    grid[-1, 0].xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    return saved(figure, path)


def schedules(schedules: Mapping[str, Callable[[int], float]], steps: int, path: str | Path | None = None) -> Any:
    """Draw learning rates over the steps 0 to ``steps``, each schedule in a panel under its name."""
    columns = min(4, len(schedules))
    rows = -(-len(schedules) // columns)
    figure, grid = new_figure((2.6 * columns, 2.0 * rows + 0.3), rows, columns, sharex=True, sharey=True)
    for axes in grid.flat[len(schedules) :]:
        axes.set_visible(False)
    for (name, schedule), axes in zip(schedules.items(), grid.flat, strict=False):
        rates = [schedule(step) for step in range(steps + 1)]
        axes.plot(range(steps + 1), rates, color=COLORS[0], drawstyle="steps-post", clip_on=False)
        axes.set_title(name, fontsize="medium")
    grid[0, 0].set_ylim(bottom=0)
    figure.supxlabel("step", fontsize="medium")
    figure.supylabel("learning rate", fontsize="medium")
    return saved(figure, path)


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


def marked(values: Floats) -> list[int]:
    """Return which points bear a mark: some of all, and those that would be invisible without, being alone."""
    gap = np.isnan(np.concatenate([[np.nan], values, [np.nan]]))
    alone = gap[:-2] & gap[2:]
    return [i for i in range(len(values)) if i % max(1, len(values) // MARKED) == 0 or alone[i]]


def _log_if_wide(axes: Any, values: Floats) -> None:
    low, high = np.nanmin(values), np.nanmax(values)
    if low > 0 and high > 10**DECADES * low:
        axes.set_yscale("log")


def line_style(index: int) -> dict[str, Any]:
    """Return how the line of an index looks: color, dash and mark."""
    return {
        "color": COLORS[index % len(COLORS)],
        "marker": MARKS[index % len(MARKS)],
        "linestyle": LINES[index % len(LINES)],
        "markersize": 5,
    }


def legend(axes: Any) -> None:
    """Add a legend that lines may not hide."""
    axes.legend(frameon=True, facecolor="white", edgecolor="none", framealpha=0.9)


def _matplotlib() -> Any:
    try:
        import matplotlib  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("a picture needs matplotlib: pip install 'gdcore[plot]'") from error
    return matplotlib


def new_figure(size: tuple[float, float], rows: int = 1, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """Return a figure and its axes, an array of shape (rows, columns)."""
    _matplotlib()
    from matplotlib.figure import Figure  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

    figure = Figure(figsize=size, layout="constrained", dpi=150)
    grid = figure.subplots(rows, columns, squeeze=False, **options)
    for axes in grid.flat:
        axes.grid(visible=True, which="major", color="0.9", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, grid


def saved(figure: Any, path: str | Path | None) -> Any:
    """Return the figure, saved where ``path`` says."""
    if path is not None:
        check_format(path)
        with replacing(path) as file:
            figure.savefig(file, format=Path(path).suffix.lower().lstrip("."))
    return figure
