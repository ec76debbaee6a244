"""``gdcore bench``: how fast the rules run on this machine.

The limit is a loop that reads and writes what the rule does and computes next to nothing. The reference is the rule
in plain NumPy. All are timed in one run, rule and limit in turn, on the same arrays.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter_ns
from typing import Any, Final

import numpy as np

from .. import reference, rules
from ..engine import get_num_threads, set_num_threads, show_config, update
from ..models import OPTIMIZERS
from ..plots import COLORS, legend, line_style, new_figure, saved
from . import texts
from .aligned import Aligned
from .errors import SUCCESS
from .outputs import check_plot

DESCRIPTION: Final = """\
Time each update rule beside the limit, a loop that reads and writes the same and computes
next to nothing, and beside the rule in plain NumPy. Medians of one run; rule and limit take turns."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of the command."""
    parser.add_argument("--optimizer", choices=OPTIMIZERS, action="append", help="may be repeated (default: all)")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="default: float32")
    parser.add_argument(
        "--sizes",
        type=texts.sizes,
        metavar="N,N,...",
        default=(100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000),
        help="elements of the array, as in 1000,1e6 (default: 100 to 1e7 by tens)",
    )
    parser.add_argument("--threads", type=texts.integer(1), metavar="N", help="default: as in gdcore info")
    parser.add_argument("--plot", metavar="FILE", help="draw throughput against size (png, pdf, svg)")


def run(args: argparse.Namespace) -> int:
    """Measure the rules on this machine."""
    if args.plot is not None:
        check_plot(args.plot)
    if args.threads is not None:
        set_num_threads(args.threads)
    show_config()
    print(f"\n{args.dtype}, at most {get_num_threads()} threads; medians of {ROUNDS} rounds")
    print(
        "of limit: a loop that reads and writes the same and computes next to nothing takes this part of the time"
    )
    print("x NumPy: the rule in plain NumPy, on one thread, takes this many times as long\n")
    table = Aligned(
        ("rule", "<9"),
        ("elements", ">12,"),
        ("ns/element", ">12.3f"),
        ("GB/s", ">12.1f"),
        ("of limit", ">12.2f"),
        ("x NumPy", ">12.1f"),
    )
    print(table.head(), flush=True)
    points = []
    for point in measure(args.optimizer or OPTIMIZERS, args.sizes, args.dtype):
        points.append(point)
        figures = (point.elements, point.ns, point.bandwidth, point.of_limit, point.numpy_ns / point.ns)
        print(table.line(point.rule, *figures) + ("  *" if point.impossible else ""), flush=True)
    if any(point.impossible for point in points):
        print("\n* cannot be: above the limit by more than the rounds differ; measure again on a quiet machine")
    if args.plot is not None:
        draw_roofline(points, caches(), args.plot)
        print(f"\nsaved {args.plot}")
    return SUCCESS


ROUNDS: Final = 9


BLOCK_NS: Final = 10_000_000
"""A round times steps for about so long, and at least one step."""


LIMIT: Final = "stream"
"""The kernel of the loop that computes next to nothing."""


@dataclass(frozen=True)
class Point:
    """One rule at one size: medians of nanoseconds an element, and what follows from them."""

    rule: str
    dtype: str
    elements: int
    moved: int
    """bytes that a step reads and writes, an element"""
    held: int
    """bytes of all arrays"""
    ns: float
    limit_ns: float
    numpy_ns: float
    spread: float
    """how far limit_ns / ns lies apart in the middle half of the rounds, as a part of its median"""

    @property
    def of_limit(self) -> float:
        """The part of the time that the limit takes."""
        return self.limit_ns / self.ns

    @property
    def impossible(self) -> bool:
        """Whether it is above the limit by more than the rounds differ: what was timed was not this alone."""
        return self.of_limit - 1 > self.spread

    @property
    def bandwidth(self) -> float:
        """GB read and written a second."""
        return self.moved / self.ns

    @property
    def limit_bandwidth(self) -> float:
        """GB read and written a second by the loop that computes next to nothing."""
        return self.moved / self.limit_ns


def measure(names: Iterable[str], sizes: Sequence[int], dtype: str) -> Iterator[Point]:
    """Yield a point for each rule and size. ``names`` are of rules that take a gradient."""
    for name in names:
        for size in sizes:
            yield _point(rules.RULES[name], size, np.dtype(dtype))


def caches(root: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> list[tuple[str, int]]:
    """Return name and bytes of the data caches of the first core, smallest first; none where Linux does not say."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    found = []
    for index in sorted(root.glob("index*")):
        try:
            kind, level, size = ((index / field).read_text("utf-8").strip() for field in ("type", "level", "size"))
            if kind != "Instruction":
                found.append((f"L{level}", int(size[:-1]) * units[size[-1]]))
        except (OSError, ValueError, KeyError):
            continue
    return found


def _point(rule: rules.Rule, size: int, dtype: np.dtype[Any]) -> Point:
    rng = np.random.default_rng(0)
    values = {**rule.hyperparameters, "lr": 1e-6}
    slots = [name for name in rule.used_slots(values) if name]

    def arrays() -> list[np.ndarray[Any, Any]]:
        # No value is 0, and none becomes subnormal or infinite in as many steps as are made.
        return [(0.5 + rng.random(size, np.float32)).astype(dtype) for _ in range(2 + len(slots))]

    # Kernel and limit take turns on the same arrays, so that neither has a place in memory of its own.
    ours, theirs = tuple(arrays()), arrays()
    coefficients = rule.coefficients(1, *values.values())
    names = ("param", "grad", *slots)
    step = getattr(reference, rule.name)
    given = {"lr": 1e-6, **({"t": 1} if rule.corrections else {})}
    turns, limits = _in_turn(
        lambda: update(rule.name, coefficients, names, ours),
        lambda: update(LIMIT, coefficients, names, ours),
    )
    # Not in turn with these: its temporaries would put their arrays out of the caches.
    (numpys,) = _in_turn(lambda: step(*theirs, **given))
    low, middle, high = quantiles([limit / turn for limit, turn in zip(limits, turns, strict=True)])
    return Point(
        rule=rule.name,
        dtype=dtype.name,
        elements=size,
        moved=(2 * (2 + len(slots)) - 1) * dtype.itemsize,
        held=len(ours) * size * dtype.itemsize,
        ns=median(turns) / size,
        limit_ns=median(limits) / size,
        numpy_ns=median(numpys) / size,
        spread=(high - low) / middle,
    )


def _in_turn(*steps: Callable[[], None]) -> list[list[float]]:
    """Return the times of each step, in ns, one a round."""
    counts = []
    for step in steps:
        step()
        begun = perf_counter_ns()
        step()
        counts.append(max(1, BLOCK_NS // max(1, perf_counter_ns() - begun)))
    times: list[list[float]] = [[] for _ in steps]
    for turn in range(ROUNDS):
        for index in range(len(steps)) if turn % 2 else reversed(range(len(steps))):
            steps[index]()  # brings the arrays back into the caches
            begun = perf_counter_ns()
            for _ in range(counts[index]):
                steps[index]()
            times[index].append((perf_counter_ns() - begun) / counts[index])
    return times


def draw_roofline(
    points: Sequence[Point], caches: Sequence[tuple[str, int]], path: str | Path | None = None
) -> Any:
    """Draw throughput against the size of the arrays, with the limit and the sizes of the caches.

    Both axes are logarithmic. Behind each rule's line lies, broad and pale, that of the loop that reads and writes
    what the rule does and computes next to nothing.
    """
    figure, grid = new_figure((7.5, 5))
    axes = grid[0, 0]
    axes.set_title("Throughput of a step on this machine")
    for index, name in enumerate(dict.fromkeys(point.rule for point in points)):
        chosen = sorted((point for point in points if point.rule == name), key=lambda point: point.held)
        held = [point.held for point in chosen]
        limit = [point.limit_bandwidth for point in chosen]
        axes.plot(held, limit, color=COLORS[index % len(COLORS)], alpha=0.25, linewidth=7)
        axes.plot(held, [point.bandwidth for point in chosen], label=name, **line_style(index))
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
    legend(axes)
    return saved(figure, path)
