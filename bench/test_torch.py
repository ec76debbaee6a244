"""gdcore.torch.Optimizer against torch's fused AdamW: a step by itself, and a small training.

Both sides run in one process in turns, on as many threads as ``--threads`` says, and are timed by the clock of the
process's CPU time where that is one thread. Skipped without torch.
"""

import time
from statistics import median
from typing import Any

import pytest

import gdcore as gd

torch = pytest.importorskip("torch")

SIZES = ((20, 64), (20, 1_000), (20, 10_000), (20, 30_000), (20, 100_000), (20, 1_000_000), (1, 20_000_000))


def sides(make: Any) -> dict[str, tuple[Any, Any]]:
    from gdcore.torch import Optimizer  # noqa: PLC0415

    ours, theirs = make(), make()
    return {
        "gdcore": (ours, Optimizer(ours.parameters(), gd.AdamW, lr=1e-3)),
        "torch": (theirs, torch.optim.AdamW(theirs.parameters(), lr=1e-3, fused=True)),
    }


def in_turns(steps: dict[str, Any], budget: Any) -> dict[str, list[float]]:
    clock = time.thread_time_ns if torch.get_num_threads() == 1 else time.perf_counter_ns
    counts = {name: budget.iterations(step) for name, step in steps.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for index in budget.rounds():
        for name in list(steps) if index % 2 else list(steps)[::-1]:
            steps[name]()
            start = clock()
            for _ in range(counts[name]):
                steps[name]()
            times[name].append((clock() - start) / counts[name])
    return times


def keep(record_gates: Any, work: str, times: dict[str, list[float]], bar: str) -> None:
    ratios = [a / b for a, b in zip(times["gdcore"], times["torch"], strict=True)]
    figures = [f"{median(times[name]) / 1000:,.1f} us" for name in ("gdcore", "torch")]
    record_gates(
        work, "fused AdamW", *figures, f"{median(ratios):.3f}", f"{min(ratios):.3f}..{max(ratios):.3f}", bar
    )


@pytest.mark.parametrize(("count", "size"), SIZES)
def test_a_step(count, size, threads, budget, record_gates, pytestconfig):
    torch.set_num_threads(threads)
    size = min(size, 1_000) if pytestconfig.getoption("short") else size

    def make() -> Any:
        torch.manual_seed(0)
        module = torch.nn.Module()
        for i in range(count):
            module.register_parameter(f"p{i}", torch.nn.Parameter(torch.randn(size)))
        for param in module.parameters():
            param.grad = torch.randn(size)
        return module

    both = sides(make)
    for _, opt in both.values():
        opt.step()
    for a, b in zip(*(module.parameters() for module, _ in both.values()), strict=True):
        torch.testing.assert_close(a, b)
    times = in_turns({name: opt.step for name, (_, opt) in both.items()}, budget)
    keep(record_gates, f"step, {count} x {size:,}", times, "0.2" if size <= 1_000 else "1")


def test_a_training(threads, budget, record_gates):
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    x, y = torch.randn(64, 16), torch.randn(64, 1)

    def make() -> Any:
        torch.manual_seed(0)
        layers = [layer for _ in range(9) for layer in (torch.nn.Linear(16, 16), torch.nn.Tanh())]
        return torch.nn.Sequential(*layers, torch.nn.Linear(16, 1))

    def step(module: Any, opt: Any) -> float:
        opt.zero_grad()
        loss = torch.nn.functional.mse_loss(module(x), y)
        loss.backward()
        opt.step()
        return float(loss.detach())

    both = sides(make)
    losses = {name: [step(*side) for _ in range(50)] for name, side in both.items()}
    assert losses["gdcore"] == pytest.approx(losses["torch"], rel=1e-4)
    times = in_turns({name: lambda side=side: step(*side) for name, side in both.items()}, budget)
    keep(record_gates, "training, 20 arrays", times, "")
