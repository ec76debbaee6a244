"""Adam in float32 against the peers that the extra ``bench`` installs; each is skipped where it is absent.

A peer runs in a process of its own, on as many cores as it may have threads (``--threads``, 1 by default),
and takes turns with gdcore, which runs in another: blocks alternate, and so does their order. The process
that runs the tests only waits.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

PEERS = (
    ("torch", "fused"),
    ("torch", "foreach"),
    ("deepspeed", "CPUAdam"),
    ("thinc", ""),
    ("optax", "jit"),
    ("numba", "njit"),
    ("numpy", "formula"),
    ("numpy", "out="),
)
REGIMES = ((1, 64), (1_000, 100), (1, 1_000), (1, 100_000), (1, 1_000_000), (1, 50_000_000))
SHORT_REGIMES = ((1, 64), (10, 100), (1, 1_000))
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NPROC",  # of XLA
)
SPIN = 0.25  # seconds: longer than the idle threads of an OpenMP pool look for work before they sleep


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    short = metafunc.config.getoption("short")
    metafunc.parametrize(("count", "size"), SHORT_REGIMES if short else REGIMES)


class Worker:
    """The process of one peer."""

    def __init__(self, module: str, threads: int, log: Path) -> None:
        script = Path(__file__).with_name("peers") / "worker.py"
        self.log = log
        with log.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, script, module, str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))},
                text=True,
            )
        self.greeting = self._read()
        self.plan: tuple[Any, ...] = ()
        self.prepared: dict[str, Any] = {}

    def prepare(self, *plan: Any) -> dict[str, Any]:
        """Make the arrays and check the answer, unless they are those of the last time."""
        if plan != self.plan:
            self.prepared, self.plan = self.ask("prepare", *plan), plan
            assert self.prepared["error"] <= 1
        return self.prepared

    def free(self) -> None:
        """Drop the arrays."""
        self.ask("free")
        self.plan = ()

    def ask(self, *request: Any) -> dict[str, Any]:
        """Return the answer to a request; worker.py says which there are."""
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        assert line, f"a peer's process ended with {self.process.wait()}:\n{self.log.read_text('utf-8')[-4000:]}"
        return json.loads(line)

    def close(self) -> None:
        """End the process, by the end of its stdin."""
        self.process.communicate()


@pytest.fixture(scope="module")
def worker(threads: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Worker]]:
    """Return the function that gives the process of a peer, started when it is first asked for."""
    workers: dict[str, Worker] = {}
    logs = tmp_path_factory.mktemp("peers")

    def started(library: str) -> Worker:
        if library not in workers:
            workers[library] = Worker(f"{library}_adam", threads, logs / f"{library}.log")
        if "absent" in workers[library].greeting:
            pytest.skip(workers[library].greeting["absent"])
        return workers[library]

    yield started
    for each in workers.values():
        each.close()


@pytest.mark.parametrize(("library", "variant"), PEERS, ids=map("-".join, PEERS))
def test_adam(
    *,
    library: str,
    variant: str,
    count: int,
    size: int,
    worker: Any,
    budget: Any,
    threads: int,
    record_peer: Any,
) -> None:
    gdcore, peer = worker("gdcore"), worker(library)
    gdcore.prepare("", count, size, budget.block)
    prepared = peer.prepare(variant, count, size, budget.block)

    times: dict[Worker, list[float]] = {gdcore: [], peer: []}
    for index in budget.rounds():
        for each in (gdcore, peer) if index % 2 else (peer, gdcore):
            if threads > 1:
                time.sleep(SPIN)
            times[each].append(each.ask("measure")["nanoseconds"])
    peer.free()

    record_peer(
        peer=f"{library} {variant}".strip(),
        version=peer.greeting["version"],
        gdcore_version=gdcore.greeting["version"],
        which=prepared["which"],
        arrays=count,
        elements=count * size,
        threads=threads,
        gdcore_ns_per_element=median(times[gdcore]) / (count * size),
        ns_per_element=median(times[peer]) / (count * size),
        ratio_to_gdcore=median(times[peer]) / median(times[gdcore]),
        ratios=[theirs / ours for theirs, ours in zip(times[peer], times[gdcore], strict=True)],
    )
