"""Pictures, drawn by matplotlib (the extra ``plot``), saved without a screen, to be read in black and white."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .files import replacing

if TYPE_CHECKING:
    from .roofline import Point

MARKS = "osD^vP"
LINES = ("-", "--", "-.", ":")
FORMATS = ("png", "pdf", "svg")


def check_format(path: str | Path) -> None:
    """Raise ValueError unless ``path`` ends like a picture, ImportError without matplotlib."""
    _matplotlib()
    if Path(path).suffix.lower().lstrip(".") not in FORMATS:
        raise ValueError(f"expected a file named *.{', *.'.join(FORMATS)}, got {str(path)!r}")


def roofline(points: Sequence["Point"], caches: Sequence[tuple[str, int]], path: str | Path) -> None:
    """Draw throughput against the size of the arrays, with the limit and the sizes of the caches.

    Both axes are logarithmic. Behind each rule's line lies, broad and pale, that of the loop that reads and writes
    what the rule does and computes next to nothing.
    """
    figure, axes = _figure("Throughput of a step on this machine")
    for index, name in enumerate(dict.fromkeys(point.rule for point in points)):
        chosen = sorted((point for point in points if point.rule == name), key=lambda point: point.held)
        held = [point.held for point in chosen]
        axes.plot(held, [point.limit_bandwidth for point in chosen], color=f"C{index}", alpha=0.25, linewidth=7)
        axes.plot(
            held,
            [point.bandwidth for point in chosen],
            label=name,
            color=f"C{index}",
            marker=MARKS[index % len(MARKS)],
            linestyle=LINES[index % len(LINES)],
        )
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
    axes.legend(frameon=True, facecolor="white", edgecolor="none", framealpha=0.9, loc="lower center")
    _save(figure, path)


def _matplotlib() -> Any:
    try:
        import matplotlib  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("a picture needs matplotlib: pip install 'gdcore[plot]'") from error
    return matplotlib


def _figure(title: str) -> tuple[Any, Any]:
    _matplotlib()
    from matplotlib.figure import Figure  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

    figure = Figure(figsize=(7.5, 5), layout="constrained", dpi=150)
    axes = figure.subplots()
    axes.set_title(title)
    axes.grid(visible=True, which="major", color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Any, path: str | Path) -> None:
    with replacing(path) as file:
        figure.savefig(file, format=Path(path).suffix.lower().lstrip("."))
