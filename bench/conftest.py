"""What the benchmarks share: the ``--short`` option, a timer that alternates, and the table at the end.

``pytest bench`` measures; ``pytest bench --short`` executes all of it on small arrays, for CI, and its
figures mean nothing. No time is ever asserted: answers are, before anything is timed.

The reference is timed at its best, in a process that reuses freed memory. In one that has not yet freed a
larger array it takes up to three times as long: to see that under glibc, set MALLOC_MMAP_THRESHOLD_ and
MALLOC_TRIM_THRESHOLD_ to 131072.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np
import pytest
from cpuinfo import get_cpu_info

import gdcore as gd
from gdcore.engine import variants
from gdcore.plots import line_style, new_figure, saved

Step = Callable[[], None]

ROWS = pytest.StashKey[list[tuple[str, ...]]]()
PEERS = pytest.StashKey[list[dict[str, Any]]]()
HEADER = ("rule", "dtype", "elements", "ns/element", "GB/s", "x reference", "least..most")
LARGE = 31 << 20  # bytes: just under the largest block that glibc ever learns to keep
GATES = pytest.StashKey[list[tuple[str, ...]]]()
GATES_HEADER = ("work", "against", "gdcore", "theirs", "ratio", "least..most", "bar")
RANKS = pytest.StashKey[list[tuple[str, ...]]]()
RANKS_HEADER = ("ranks", "elements", "plain, ms", "step, ms", "work, ms", "exchange, ms", "x plain")
PEER_HEADER = ("elements", "peer", "ns/element", "gdcore's", "x gdcore", "least..most")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bench")
    group.addoption("--short", action="store_true", help="small arrays and few rounds; judges nothing")
    group.addoption("--plot", metavar="FILE", help="where to draw the peers: a *.png, *.pdf or *.svg")
    group.addoption("--threads", type=int, default=1, help="threads of gdcore and of each peer (default: 1)")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []
    config.stash[PEERS] = []
    config.stash[GATES] = []
    config.stash[RANKS] = []


@pytest.fixture(scope="session", autouse=True)
def reuse_freed_memory() -> None:
    # glibc keeps freed blocks for reuse once it has seen one as large come and go (mallopt(3),
    # M_MMAP_THRESHOLD). Without this, the tests that ran before would decide whether the reference's
    # temporaries are new pages in every step.
    np.empty(LARGE, np.uint8)


@pytest.fixture(scope="session", autouse=True)
def threads(pytestconfig: pytest.Config) -> Iterator[int]:
    """Return how many threads the kernels may use, and let them."""
    before, count = gd.get_num_threads(), pytestconfig.getoption("threads")
    gd.set_num_threads(count)
    yield count
    gd.set_num_threads(before)


@dataclass(frozen=True)
class Budget:
    """How long to measure: blocks of about ``block`` ns, in rounds until ``total`` ns are over.

    A block has at least one step; there are at least ``least`` rounds and at most ``most``. Many short rounds
    give a better median than few long ones where other processes come and go.
    """

    block: int
    total: int
    least: int
    most: int

    def iterations(self, step: Step) -> int:
        """Return how many of these steps fill a block."""
        step()  # the first step pays for page faults and cold caches
        start = perf_counter_ns()
        step()
        return max(1, self.block // max(1, perf_counter_ns() - start))

    def rounds(self) -> Iterator[int]:
        """Count the rounds, while there is time."""
        end = perf_counter_ns() + self.total
        for index in range(self.most):
            if index >= self.least and perf_counter_ns() > end:
                return
            yield index


@pytest.fixture(scope="session")
def budget(pytestconfig: pytest.Config) -> Budget:
    if pytestconfig.getoption("short"):
        return Budget(block=100_000, total=0, least=2, most=2)
    return Budget(block=10_000_000, total=600_000_000, least=5, most=25)


@dataclass(frozen=True)
class Pair:
    """Nanoseconds a step of the kernel and of the reference, round by round."""

    kernel: list[float]
    reference: list[float]

    @property
    def ratio(self) -> float:
        """How many times the kernel's time the reference takes."""
        return median(self.reference) / median(self.kernel)

    @property
    def ratios(self) -> list[float]:
        """The same, of each round."""
        return [reference / kernel for kernel, reference in zip(self.kernel, self.reference, strict=True)]


def timed_block(step: Step, iterations: int, afresh: Step | None = None) -> float:
    """Return nanoseconds a step. One more goes before: it brings this side's arrays back into the caches.

    After ``afresh``, which makes again what a step uses up, there is but one step.
    """
    step()
    if afresh is not None:
        afresh()
        iterations = 1
    start = perf_counter_ns()
    for _ in range(iterations):
        step()
    return (perf_counter_ns() - start) / iterations


def alternate(kernel: Step, reference: Step, budget: Budget) -> Pair:
    """Time both in alternating blocks and order, so that a slow second of the machine hits both."""
    sides = [(kernel, budget.iterations(kernel), []), (reference, budget.iterations(reference), [])]
    for index in budget.rounds():
        for step, iterations, times in sides if index % 2 else reversed(sides):
            times.append(timed_block(step, iterations))
    return Pair(sides[0][2], sides[1][2])


@pytest.fixture
def compare(budget: Budget, pytestconfig: pytest.Config) -> Callable[..., None]:
    """Return the function that times a derivative against others, in turns, and keeps a row of the table of each.

    ``ratio`` is gdcore's time over theirs, round by round.
    """

    def record(work: str, ours: Step, others: dict[str, tuple[Step, str]], afresh: Step | None = None) -> None:
        sides = {"gdcore": ours} | {name: step for name, (step, _) in others.items()}
        turns = [(step, budget.iterations(step), []) for step in sides.values()]
        for index in budget.rounds():
            for step, iterations, times in turns if index % 2 else reversed(turns):
                times.append(timed_block(step, iterations, afresh))
        mine, *theirs = [times for _, _, times in turns]
        for (name, (_, bar)), times in zip(others.items(), theirs, strict=True):
            ratios = [a / b for a, b in zip(mine, times, strict=True)]
            pytestconfig.stash[GATES].append(
                (
                    work,
                    name,
                    f"{median(mine) / 1000:,.1f} us",
                    f"{median(times) / 1000:,.1f} us",
                    f"{median(ratios):.3f}",
                    f"{min(ratios):.3f}..{max(ratios):.3f}",
                    bar,
                )
            )

    return record


@pytest.fixture
def record_gates(pytestconfig: pytest.Config) -> Callable[..., None]:
    """Return the function that keeps a row of the table of derivatives."""
    return lambda *cells: pytestconfig.stash[GATES].append(cells)


@pytest.fixture
def record_ranks(pytestconfig: pytest.Config) -> Callable[..., None]:
    """Return the function that keeps a row of the table of ranks."""
    return lambda *cells: pytestconfig.stash[RANKS].append(cells)


@pytest.fixture
def measure(benchmark: Any, budget: Budget, threads: int, pytestconfig: pytest.Config) -> Callable[..., None]:
    """Return the function that times one implementation of a pair and records what it finds.

    The kernel's test times the reference too, alternating with it: that is the ratio to quote. In the table
    of pytest-benchmark itself both are in one group, but were timed one after the other.
    """

    def record(
        *,
        steps: dict[str, Step],
        implementation: str,
        label: str,
        dtype: np.dtype[Any],
        count: int,
        size: int,
        arrays: int,
    ) -> None:
        # count arrays of size elements; a step reads or writes so many arrays for each.
        elements = count * size
        shown = shape_name(count, size)
        nbytes = elements * arrays * dtype.itemsize
        step = steps[implementation]
        benchmark.group = f"{label} {dtype} {shown}"
        benchmark.extra_info.update(
            rule=label,
            dtype=str(dtype),
            arrays=count,
            elements=elements,
            bytes_per_step=nbytes,
            threads=threads,
            variant=variants.chosen.name,
        )
        if implementation == "kernel":
            pair = alternate(steps["kernel"], steps["reference"], budget)
            nanoseconds = median(pair.kernel)
            benchmark.extra_info.update(
                ns_per_element=nanoseconds / elements,
                bytes_per_second=nbytes / nanoseconds * 1e9,
                ratio_to_reference=pair.ratio,
                ratios=pair.ratios,
            )
            pytestconfig.stash[ROWS].append(
                (
                    label,
                    str(dtype),
                    shown,
                    f"{nanoseconds / elements:.3f}",
                    f"{nbytes / nanoseconds:.2f}",
                    f"{pair.ratio:.1f}",
                    f"{min(pair.ratios):.1f}..{max(pair.ratios):.1f}",
                )
            )
        benchmark.pedantic(step, rounds=budget.least, iterations=budget.iterations(step))

    return record


@pytest.fixture
def record_peer(pytestconfig: pytest.Config) -> Callable[..., None]:
    """Return the function that keeps what a comparison with a peer found, for the table and the JSON."""
    return lambda **found: pytestconfig.stash[PEERS].append(found)


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    output_json["peers"] = config.stash[PEERS]


@pytest.fixture
def normal() -> Callable[..., np.ndarray[Any, Any]]:
    """Return a function of shape and dtype that draws standard-normal values, none of them zero."""
    rng = np.random.default_rng(20)

    def draw(shape: int | tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        values = rng.standard_normal(shape, dtype)
        values[values == 0] = 1
        return values

    return draw


@pytest.fixture
def same_bits() -> Callable[..., bool]:
    """Return whether two sequences of arrays hold the same bits."""

    def compare(left: Iterable[np.ndarray[Any, Any]], right: Iterable[np.ndarray[Any, Any]]) -> bool:
        return all(
            np.array_equal(a.view(f"u{a.itemsize}"), b.view(f"u{b.itemsize}"))
            for a, b in zip(left, right, strict=True)
        )

    return compare


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    rows = config.stash[ROWS]
    if rows:
        kernel = f"{variants.chosen.name} kernel, {config.getoption('threads')} thread(s)"
        terminalreporter.section(f"{kernel}, against gd.reference: medians of alternating rounds")
        write_table(terminalreporter, HEADER, rows)
    gates = config.stash[GATES]
    if gates:
        terminalreporter.section(
            "derivatives, training, steps: medians of alternating rounds, 1 thread; a ratio is gdcore's over theirs"
        )
        write_table(terminalreporter, GATES_HEADER, gates)
    ranks = config.stash[RANKS]
    if ranks:
        terminalreporter.section("Adam float32 over ranks of 1 thread, medians; plain: each rank for itself")
        write_table(terminalreporter, RANKS_HEADER, ranks)
    peers = config.stash[PEERS]
    if peers:
        threads = config.getoption("threads")
        terminalreporter.section(f"Adam float32 against peers, {threads} thread(s) each, medians")
        write_table(terminalreporter, PEER_HEADER, [peer_row(**found) for found in peers])
        if path := config.getoption("plot"):
            draw_peers(peers, threads, path)
        for line in dict.fromkeys(f"{found['peer']} ({found['version']}): {found['which']}" for found in peers):
            terminalreporter.write_line(line)


def draw_peers(peers: list[dict[str, Any]], threads: int, path: str) -> None:
    """Draw how many times gdcore's time each peer takes, and name the machine."""
    figure, grid = new_figure((9, 4.5))
    axes = grid[0, 0]
    for index, name in enumerate(dict.fromkeys(found["peer"] for found in peers)):
        rows = [found for found in peers if found["peer"] == name]
        ratios = [found["ratio_to_gdcore"] for found in rows]
        axes.plot([peer_shape(found) for found in rows], ratios, label=name, **line_style(index))
    axes.axhline(1, color="black", linewidth=1)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("elements")
    axes.set_ylabel("times as long as gdcore")
    cpu = get_cpu_info().get("brand_raw", "an unknown CPU")
    axes.set_title(f"A step of Adam, float32, threads: {threads}, {cpu}", fontsize="medium")
    figure.legend(loc="outside right center", frameon=False)
    saved(figure, path)


def peer_shape(found: dict[str, Any]) -> str:
    return shape_name(found["arrays"], found["elements"] // found["arrays"])


def peer_row(**found: Any) -> tuple[str, ...]:
    ratios = found["ratios"]
    return (
        peer_shape(found),
        found["peer"],
        f"{found['ns_per_element']:.3f}",
        f"{found['gdcore_ns_per_element']:.3f}",
        f"{found['ratio_to_gdcore']:.2f}",
        f"{min(ratios):.2f}..{max(ratios):.2f}",
    )


def shape_name(count: int, size: int) -> str:
    return f"{count:,} x {size:,}" if count > 1 else f"{size:,}"


def write_table(terminalreporter: Any, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in [header, *rows]:
        terminalreporter.write_line("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
