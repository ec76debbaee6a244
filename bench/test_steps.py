"""Whole steps of every optimizer: ``opt.step`` against a loop that calls the reference on each array."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gdcore as gd
from gdcore.stepping import Optimizer

CHECKED_STEPS = 3
LR = 1e-4  # as in test_rules.py
OPTIMIZERS = [kind for kind in vars(gd).values() if inspect.isclass(kind) and issubclass(kind, Optimizer)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    shapes = ((1, 64), (10, 100)) if metafunc.config.getoption("short") else ((1, 64), (1_000, 100))
    metafunc.parametrize(("count", "size"), shapes)


def reference_step(optimizer: Optimizer, params: Any, grads: Any, state: list[Any]) -> Callable[[], None]:
    # The step of an optimizer like this one on other arrays, as one would write it with gd.reference.
    function = getattr(gd.reference, optimizer.rule.name)
    accepted = inspect.signature(function).parameters
    values = {name: value for name, value in optimizer.groups[0].items() if name in accepted}
    arrays = [(param, grad, *slots) for param, grad, slots in zip(params, grads, state, strict=True)]
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if "t" in accepted:
            values["t"] = steps
        for operands in arrays:
            function(*operands, **values)

    return step


def named(arrays: list[Any]) -> dict[str, Any]:
    return {f"layer{index}": array for index, array in enumerate(arrays)}


@pytest.mark.parametrize("implementation", ["kernel", "reference"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", OPTIMIZERS, ids=lambda kind: kind.__name__)
def test_step(
    *,
    kind: type[Optimizer],
    dtype: str,
    count: int,
    size: int,
    implementation: str,
    measure: Any,
    normal: Any,
    same_bits: Any,
) -> None:
    ours, grads = ([normal(size, np.dtype(dtype)) for _ in range(count)] for _ in range(2))
    theirs = [param.copy() for param in ours]
    # One array is a tree by itself; many are a dict, as a model has them.
    optimizer = kind(ours[0] if count == 1 else named(ours), lr=LR)
    tree = grads[0] if count == 1 else named(grads)
    state = [[np.zeros(size, dtype) for _ in slots] for slots in optimizer.state.values()]
    steps = {
        "kernel": lambda: optimizer.step(tree),
        "reference": reference_step(optimizer, theirs, grads, state),
    }

    for _ in range(CHECKED_STEPS):
        for step in steps.values():
            step()
    assert same_bits(ours, theirs)
    for slots, others in zip(optimizer.state.values(), state, strict=True):
        assert same_bits(slots.values(), others)

    measure(
        steps=steps,
        implementation=implementation,
        label=f"{kind.__name__}.step",
        dtype=np.dtype(dtype),
        count=count,
        size=size,
        arrays=3 + 2 * len(state[0]),
    )
