"""Whole steps of every optimizer: ``opt.step`` against a loop that calls the reference on each array.

And steps by rows of a large table, against NumPy by hand and against torch's sparse gradients with SparseAdam.
"""

import inspect
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gdcore as gd
from gdcore.stepping import Optimizer

CHECKED_STEPS = 3
LR = 1e-4  # as in test_rules.py
BATCHES = 300  # whose rows are more than caches hold
EPS = 1e-12  # of steps by rows: SparseAdam's stands elsewhere, and is to make no difference
OPTIMIZERS = [kind for kind in vars(gd).values() if inspect.isclass(kind) and issubclass(kind, Optimizer)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "count" not in metafunc.fixturenames:
        return
    shapes = ((1, 64), (10, 100)) if metafunc.config.getoption("short") else ((1, 64), (1_000, 100))
    if "count" in metafunc.fixturenames:
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
    """A table of which each of many batches meets some rows, and a loss linear in these; and who steps it."""

    def __init__(self, rows: int, width: int, batch: int) -> None:
        rng = np.random.default_rng(0)
        self.first, self.u = rng.standard_normal((rows, width), np.float32), rng.standard_normal(width, np.float32)
        self.batches = [
            (rng.integers(0, rows, batch), rng.standard_normal(batch, np.float32)) for _ in range(BATCHES)
        ]
        self.values = rng.standard_normal((batch, width), np.float32)

    def loss(self, table: Any, index: Any, y: Any) -> Any:
        """Return the mean of the squared errors of the rows met."""
        return np.mean((table[index] @ self.u - y) ** 2)

    def grad_by_hand(self, table: Any, index: Any, y: Any) -> Any:
        """Return its gradient by each of the rows met."""
        error = table[index] @ self.u - y
        return np.float32(2 / len(error)) * error[:, None] * self.u

    def each(self, step: Callable[..., None]) -> Callable[[], None]:
        """Return the step of the next batch."""
        batches = itertools.cycle(self.batches)
        return lambda: step(*next(batches))

    def step_by_hand(self, table: Any) -> Callable[[Any, Any], None]:
        """Return the step of Adam by rows: what is given for each summed, rows taken out and put back."""
        m, v = np.zeros_like(table), np.zeros_like(table)
        t = 0

        def step(index: Any, values: Any) -> None:
            nonlocal t
            t += 1
            each, inverse = np.unique(index, return_inverse=True)
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
        weight, u = torch.from_numpy(table).requires_grad_(), torch.from_numpy(self.u)
        optimizer = torch.optim.SparseAdam([weight], lr=1e-3, eps=EPS)

        def step(index: Any, y: Any) -> None:
            optimizer.zero_grad(set_to_none=True)
            met = torch.nn.functional.embedding(torch.from_numpy(index), weight, sparse=True)
            torch.mean((met @ u - torch.from_numpy(y)) ** 2).backward()
            optimizer.step()

        return self.each(step)


@pytest.fixture(scope="module")
def table(pytestconfig: pytest.Config) -> Table:
    return Table(1_000, 8, 32) if pytestconfig.getoption("short") else Table(1_000_000, 64, 1_024)


def test_step_by_rows(table: Table, compare: Any) -> None:
    ours, theirs = table.first.copy(), table.first.copy()
    optimizer, by_hand = gd.Adam(ours, eps=EPS), table.step_by_hand(theirs)
    step = table.each(lambda index, _: optimizer.step(gd.Rows(index, table.values, len(ours))))
    other = table.each(lambda index, _: by_hand(index, table.values))
    for _ in table.batches:  # each once: the memory of the state is there from its first use on
        step()
        other()
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    compare("a step by rows", step, {"by hand": (other, "<= 1")})


@pytest.mark.parametrize("peer", ["by hand", "torch"])
def test_look_up_and_step_by_rows(table: Table, peer: str, compare: Any) -> None:
    ours, theirs = table.first.copy(), table.first.copy()
    differentiated = gd.value_and_grad(table.loss, rows=("param",))
    optimizer = gd.Adam(ours, eps=EPS)
    step = table.each(lambda index, y: optimizer.step(differentiated(ours, index, y)[1]))
    if peer == "torch":
        other, bar = table.torch(theirs), "<= 0.5"
    else:
        by_hand, bar = table.step_by_hand(theirs), ""
        other = table.each(lambda index, y: by_hand(index, table.grad_by_hand(theirs, index, y)))
    for _ in table.batches:  # each once: the memory of the state is there from its first use on
        step()
        other()
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    compare("look-up, loss, backward, step", step, {peer: (other, bar)})


HALVES = {"float16": np.dtype(np.float16), "bfloat16": gd.bfloat16(np.zeros(0, np.uint16)).dtype}
ELEMENTS, SHORT_ELEMENTS = 20_000_000, 2_000


def by_hand(size: int, weights: np.ndarray[Any, Any], grads: np.ndarray[Any, Any]) -> Callable[[], None] | None:
    # What one writes with torch for weights in bfloat16: its fused Adam on a master, and a copy each way.
    try:
        import torch  # noqa: PLC0415
    except ImportError:
        return None
    torch.set_num_threads(1)
    half, grad = (torch.from_numpy(a.view(np.int16)).view(torch.bfloat16) for a in (weights.copy(), grads))
    master = half.float().requires_grad_()
    master.grad = torch.empty_like(master)
    optimizer = torch.optim.Adam([master], lr=LR, fused=True)

    def step() -> None:
        master.grad.copy_(grad)
        optimizer.step()
        with torch.no_grad():
            half.copy_(master)

    return step


@pytest.mark.parametrize("half", HALVES)
def test_half_precision(*, half: str, normal: Any, same_bits: Any, compare: Any, pytestconfig: Any) -> None:
    size = SHORT_ELEMENTS if pytestconfig.getoption("short") else ELEMENTS
    dtype = HALVES[half]
    ours, theirs = normal(size, np.dtype(np.float32)), np.empty(size, np.float32)
    grads, weights = (
        gd.reference.narrow(normal(size, np.dtype(np.float32)), dtype),
        gd.reference.narrow(ours, dtype),
    )
    wide, whole = gd.reference.widen(grads), gd.reference.widen(weights)
    theirs[...] = ours
    bits, fronts = grads.view(np.uint16), np.empty(size, np.float32).view(np.uint32)
    optimizer, plain = gd.Adam(ours, lr=LR), gd.Adam(theirs, lr=LR)
    with_master, of_master = gd.Adam(weights, lr=LR, master=True), gd.Adam(whole, lr=LR)
    for _ in range(CHECKED_STEPS):
        optimizer.step(grads)
        plain.step(wide)
        with_master.step(grads)
        of_master.step(wide)
    assert same_bits([ours, weights], [theirs, gd.reference.narrow(whole, dtype)])

    def converted() -> None:
        if half == "float16":
            np.copyto(wide, grads)
        else:
            np.left_shift(bits, 16, out=fronts, dtype=np.uint32)
        plain.step(wide if half == "float16" else fronts.view(np.float32))

    others = {"Adam by float32": (lambda: plain.step(wide), "0.97"), "converted before": (converted, "0.71")}
    compare(f"Adam, gradients in {half}", lambda: optimizer.step(grads), others)
    others = {"Adam in float32": (lambda: of_master.step(wide), "1.05")}
    torch_step = by_hand(size, weights, grads) if half == "bfloat16" else None
    if torch_step is not None:
        others["torch fused, by hand"] = (torch_step, "1")
    compare(f"Adam, all in {half} with a master", lambda: with_master.step(grads), others)
