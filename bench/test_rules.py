"""Every rule of the table on one array: the kernel against the reference.

A step reads the parameter, the gradient and the slots, and writes the parameter and the slots: the bytes per
second are of these alone, however many more an implementation moves.
"""

import inspect
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest

import gdcore as gd
from gdcore.rules import REQUIRED, RULES, Rule

CHECKED_STEPS = 3
# So short a step leaves the weights at a moderate size over the 100,000 steps that a small array gets.
HYPERPARAMETERS = {"lr": 1e-4, "weight_decay": 1e-2}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    sizes = (100, 10_000) if metafunc.config.getoption("short") else (100, 10_000, 1_000_000, 20_000_000)
    metafunc.parametrize("size", sizes)


def bound(function: Callable[..., None], rule: Rule, arrays: list[np.ndarray[Any, Any]]) -> Callable[[], None]:
    # The function as a step without arguments.
    values = {name: HYPERPARAMETERS[name] for name in rule.hyperparameters if is_given(rule, name)}
    if "t" not in inspect.signature(function).parameters:
        return lambda: function(*arrays, **values)
    steps = count(1)
    return lambda: function(*arrays, t=next(steps), **values)


def is_given(rule: Rule, name: str) -> bool:
    return name == "lr" or rule.hyperparameters[name] is REQUIRED


@pytest.mark.parametrize("implementation", ["kernel", "reference"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_rule(
    *, rule: Rule, dtype: str, size: int, implementation: str, measure: Any, normal: Any, same_bits: Any
) -> None:
    kind = np.dtype(dtype)
    inputs = [normal(size, kind) for _ in range(1 + rule.has_gradient)]
    slots = sum(asks is None for asks in rule.slots.values())
    ours = [array.copy() for array in inputs] + [np.zeros(size, kind) for _ in range(slots)]
    theirs = inputs + [np.zeros(size, kind) for _ in range(slots)]
    steps = {
        "kernel": bound(getattr(gd.updates, rule.name), rule, ours),
        "reference": bound(getattr(gd.reference, rule.name), rule, theirs),
    }

    for _ in range(CHECKED_STEPS):
        for step in steps.values():
            step()
    assert same_bits(ours, theirs)

    measure(
        steps=steps,
        implementation=implementation,
        label=rule.name,
        dtype=kind,
        count=1,
        size=size,
        arrays=2 + rule.has_gradient + 2 * slots,
    )
