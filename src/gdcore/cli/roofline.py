"""How fast the rules run on this machine, beside the two things that bound what one may hope for.

The limit is a loop that reads and writes what the rule does and computes next to nothing. The reference is the rule
in plain NumPy. All are timed in one run, rule and limit in turn, on the same arrays.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any, Final

import numpy as np

from .. import reference, rules
from ..engine import _engine

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
            kind, level, size = ((index / field).read_text().strip() for field in ("type", "level", "size"))
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
    given = {"lr": 1e-6, **({"t": 1} if rule is rules.ADAM else {})}
    ns, limit_ns = _in_turn(
        lambda: _engine.update(rule.name, coefficients, names, ours),
        lambda: _engine.update(LIMIT, coefficients, names, ours),
    )
    # Not in turn with these: its temporaries would put their arrays out of the caches.
    (numpy_ns,) = _in_turn(lambda: step(*theirs, **given))
    return Point(
        rule=rule.name,
        dtype=dtype.name,
        elements=size,
        moved=(2 * (2 + len(slots)) - 1) * dtype.itemsize,
        held=len(ours) * size * dtype.itemsize,
        ns=ns / size,
        limit_ns=limit_ns / size,
        numpy_ns=numpy_ns / size,
    )


def _in_turn(*steps: Callable[[], None]) -> list[float]:
    """Return the median time of each step, in ns."""
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
    return [median(turns) for turns in times]
