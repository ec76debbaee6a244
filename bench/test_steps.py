"""Whole steps of every optimizer: ``opt.step`` against a loop that calls the reference on each array.

And steps by rows of a large table, against NumPy by hand and against torch's sparse gradients with SparseAdam.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gdcore as gd
from gdcore.stepping import Optimizer

CHECKED_STEPS = 3
LR = 1e-4  # as in test_rules.py
EPS = 1e-12  # of steps by rows: SparseAdam's stands elsewhere, and is to make no difference
OPTIMIZERS = [kind for kind in vars(gd).values() if inspect.isclass(kind) and issubclass(kind, Optimizer)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "count" not in metafunc.fixturenames:
        return
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


class Table:
    """A table of which each batch meets some rows, linear in these: the loss, and who steps it."""

    def __init__(self, rows: int, width: int, batch: int) -> None:
        rng = np.random.default_rng(0)
        self.first = rng.standard_normal((rows, width), np.float32)
        self.index, self.u = rng.integers(0, rows, batch), rng.standard_normal(width, np.float32)
        self.y = rng.standard_normal(batch, np.float32)
        self.values = rng.standard_normal((batch, width), np.float32)

    def loss(self, table: Any) -> Any:
        """Return the mean of the squared errors of the rows met."""
        return np.mean((table[self.index] @ self.u - self.y) ** 2)

    def grad_by_hand(self, table: Any) -> Any:
        """Return its gradient by each of the rows met."""
        met = table[self.index]
        error = met @ self.u - self.y
        return np.float32(2 / len(error)) * error[:, None] * self.u

    def step_by_hand(self, table: Any) -> Callable[[Any], None]:
        """Return the step of Adam by these rows: what is given for each summed, rows taken out and put back."""
        m, v = np.zeros_like(table), np.zeros_like(table)
        t = 0

        def step(values: Any) -> None:
            nonlocal t
            t += 1
            each, inverse = np.unique(self.index, return_inverse=True)
            sums = np.zeros((len(each), table.shape[1]), np.float32)
            np.add.at(sums, inverse, values)
            part, of_m, of_v = table[each], m[each], v[each]
            gd.updates.adam(part, sums, of_m, of_v, t=t, eps=EPS)
            table[each], m[each], v[each] = part, of_m, of_v

        return step

    def torch(self, table: Any) -> Callable[[], None]:
        """Return a whole step of torch: sparse look-up, loss, backward, SparseAdam."""
        torch = pytest.importorskip("torch")
        torch.set_num_threads(1)
        weight = torch.from_numpy(table).requires_grad_()
        index, u, y = map(torch.from_numpy, (self.index, self.u, self.y))
        optimizer = torch.optim.SparseAdam([weight], lr=1e-3, eps=EPS)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            met = torch.nn.functional.embedding(index, weight, sparse=True)
            torch.mean((met @ u - y) ** 2).backward()
            optimizer.step()

        return step


@pytest.fixture(scope="module")
def table(pytestconfig: pytest.Config) -> Table:
    return Table(1_000, 8, 32) if pytestconfig.getoption("short") else Table(1_000_000, 64, 1_024)


def test_step_by_rows(table: Table, compare: Any) -> None:
    ours, theirs = table.first.copy(), table.first.copy()
    optimizer, by_hand = gd.Adam(ours, eps=EPS), table.step_by_hand(theirs)
    rows = gd.Rows(table.index, table.values, len(ours))
    for _ in range(CHECKED_STEPS):
        optimizer.step(rows)
        by_hand(table.values)
    np.testing.assert_allclose(ours[table.index], theirs[table.index], rtol=1e-5)
    others = {"by hand": (lambda: by_hand(table.values), "<= 1")}
    compare("a step by rows", lambda: optimizer.step(rows), others)


@pytest.mark.parametrize("peer", ["by hand", "torch"])
def test_look_up_and_step_by_rows(table: Table, peer: str, compare: Any) -> None:
    ours, theirs = table.first.copy(), table.first.copy()
    differentiated = gd.value_and_grad(table.loss, rows=("param",))
    optimizer = gd.Adam(ours, eps=EPS)

    def step() -> None:
        optimizer.step(differentiated(ours)[1])

    if peer == "torch":
        other, bar = table.torch(theirs), "<= 0.5"
    else:
        by_hand, bar = table.step_by_hand(theirs), ""

        def other() -> None:
            by_hand(table.grad_by_hand(theirs))

    for _ in range(CHECKED_STEPS):
        step()
        other()
    np.testing.assert_allclose(ours[table.index], theirs[table.index], rtol=1e-3, atol=1e-5)
    compare("look-up, loss, backward, step", step, {peer: (other, bar)})
