"""Derivatives against the gradient written by hand in NumPy, against torch and against HIPS autograd.

Each answer is checked before anything is timed. All run in one process, on one thread each, and take turns.
"""

import tracemalloc
from collections.abc import Callable, Iterator
from itertools import pairwise
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import gdcore as gd
from gdcore.derivatives import operators
from gdcore.derivatives.nets import _door as kernels

Array = np.ndarray[Any, Any]
Params = dict[str, Array]

NETS = {"64-64-10, batch 64": ((64, 64, 10), 64), "784-512-512-10, batch 128": ((784, 512, 512, 10), 128)}
BARS = {
    "64-64-10, batch 64": {"by hand": "<= 0.65", "torch": "<= 0.25", "autograd": "<= 0.083"},
    "784-512-512-10, batch 128": {"by hand": "<= 0.97", "torch": "", "autograd": ""},
}
GATES = 1000


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


class Net:
    """A relu net with softmax cross-entropy in float32, and a batch for it."""

    def __init__(self, sizes: tuple[int, ...], batch: int) -> None:
        rng = np.random.default_rng(4)
        self.layers = len(sizes) - 1
        self.params: Params = {}
        for i, (rows, columns) in enumerate(pairwise(sizes)):
            self.params[f"w{i}"] = rng.standard_normal((rows, columns), np.float32) / np.float32(rows**0.5)
            self.params[f"b{i}"] = rng.standard_normal(columns, np.float32)
        self.x = rng.standard_normal((batch, sizes[0]), np.float32)
        self.y = rng.integers(0, sizes[-1], batch)

    def loss(self, params: Any) -> Any:
        """Return the loss, in plain NumPy and two gates."""
        h = self.x
        for i in range(self.layers - 1):
            h = gd.relu(h @ params[f"w{i}"] + params[f"b{i}"])
        return gd.softmax_cross_entropy(h @ params[f"w{self.layers - 1}"] + params[f"b{self.layers - 1}"], self.y)

    def dense_loss(self, params: Any) -> Any:
        """Return the loss, in layers."""
        h = self.x
        for i in range(self.layers):
            h = gd.dense(h, params[f"w{i}"], params[f"b{i}"], "relu" if i < self.layers - 1 else None)
        return gd.softmax_cross_entropy(h, self.y)

    def model(self) -> Callable[[], tuple[Any, Params]]:
        """Return the step of a model with these parameters."""
        sizes = [len(self.params["w0"]), *(len(self.params[f"b{i}"]) for i in range(self.layers))]
        model = gd.models.MLP(sizes, task="classes", rng=np.random.default_rng(0), dtype=np.float32)
        for i in range(self.layers):
            model.params[0][i][:], model.params[1][i][:] = self.params[f"w{i}"], self.params[f"b{i}"]

        def step() -> tuple[Any, Params]:
            value, (dw, db) = model.value_and_grad(model.params, self.x, self.y)
            return value, {f"{name}{i}": g for name, gs in (("w", dw), ("b", db)) for i, g in enumerate(gs)}

        return step

    def products(self) -> Callable[[], None]:
        """Return the products of the gradient alone, in memory that is reused."""
        params, last = self.params, self.layers - 1
        hs = [np.empty((len(self.x), params[f"b{i}"].size), np.float32) for i in range(self.layers)]
        ds = [np.ones_like(h) for h in hs]
        dw = [np.empty_like(params[f"w{i}"]) for i in range(self.layers)]

        def step() -> None:
            for i in range(self.layers):
                np.matmul(hs[i - 1] if i else self.x, params[f"w{i}"], out=hs[i])
            for i in range(last, 0, -1):
                np.matmul(hs[i - 1].T, ds[i], out=dw[i])
                np.matmul(ds[i], params[f"w{i}"].T, out=ds[i - 1])
            np.matmul(self.x.T, ds[0], out=dw[0])

        return step

    def by_hand(self) -> tuple[Any, Params]:
        """Return the loss and the gradient as one writes them down."""
        params, last, rows = self.params, self.layers - 1, np.arange(len(self.y))
        hs = [self.x]
        for i in range(last):
            hs.append(np.maximum(hs[-1] @ params[f"w{i}"] + params[f"b{i}"], 0))
        z = hs[-1] @ params[f"w{last}"] + params[f"b{last}"]
        z -= z.max(axis=1, keepdims=True)
        e = np.exp(z)
        total = e.sum(axis=1, keepdims=True)
        value = (np.log(total)[:, 0] - z[rows, self.y]).mean()
        d = e / total
        d[rows, self.y] -= 1
        d /= len(self.y)
        grads = {}
        for i in reversed(range(self.layers)):
            grads[f"w{i}"] = hs[i].T @ d
            grads[f"b{i}"] = d.sum(axis=0)
            if i:
                d = (d @ params[f"w{i}"].T) * (hs[i] > 0)
        return value, grads

    def autograd(self) -> Callable[[], tuple[Any, Params]]:
        """Return the step of HIPS autograd, with its own logsumexp."""
        autograd = pytest.importorskip("autograd")
        anp = pytest.importorskip("autograd.numpy")
        logsumexp = pytest.importorskip("autograd.scipy.special").logsumexp
        rows = np.arange(len(self.y))

        def loss(params: Any) -> Any:
            h = self.x
            for i in range(self.layers - 1):
                h = anp.maximum(anp.dot(h, params[f"w{i}"]) + params[f"b{i}"], 0)
            z = anp.dot(h, params[f"w{self.layers - 1}"]) + params[f"b{self.layers - 1}"]
            return anp.mean(logsumexp(z, axis=1) - z[rows, self.y])

        differentiated = autograd.value_and_grad(loss)
        return lambda: differentiated(self.params)

    def torch(self) -> Callable[[], tuple[Any, Params]]:
        """Return the step of torch, without modules: they would take a third longer."""
        torch = pytest.importorskip("torch")
        torch.set_num_threads(1)
        params = {name: torch.from_numpy(w).requires_grad_() for name, w in self.params.items()}
        x, y = torch.from_numpy(self.x), torch.from_numpy(self.y)
        relu, cross_entropy = torch.relu, torch.nn.functional.cross_entropy

        def step() -> tuple[Any, Any]:
            h = x
            for i in range(self.layers - 1):
                h = relu(h @ params[f"w{i}"] + params[f"b{i}"])
            loss = cross_entropy(h @ params[f"w{self.layers - 1}"] + params[f"b{self.layers - 1}"], y)
            return loss.detach(), dict(zip(params, torch.autograd.grad(loss, list(params.values())), strict=True))

        return step


@pytest.fixture(params=NETS)
def net(request: pytest.FixtureRequest) -> tuple[str, Net]:
    return request.param, Net(*NETS[request.param])


def same(got: tuple[Any, Any], expected: tuple[Any, Params]) -> None:
    assert float(got[0]) == pytest.approx(float(expected[0]), rel=1e-5)
    for name, grad in expected[1].items():
        np.testing.assert_allclose(np.asarray(got[1][name]), grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("peer", ["by hand", "torch", "autograd"])
def test_net(net: tuple[str, Net], peer: str, compare: Callable[..., None]) -> None:
    name, made = net
    differentiated = gd.value_and_grad(made.loss)
    theirs = {"by hand": lambda: made.by_hand, "torch": made.torch, "autograd": made.autograd}[peer]()
    same(differentiated(made.params), made.by_hand())
    same(theirs(), made.by_hand())
    compare(name, lambda: differentiated(made.params), {peer: (theirs, BARS[name][peer])})


LAYERS = {
    "gd.dense": {"by hand": "<= 0.5", "the products alone": "<= 1.6", "torch": "", "autograd": ""},
    "MLP.value_and_grad": {"by hand": "", "the products alone": "<= 1.35"},
}


@pytest.mark.parametrize(("way", "peer"), [(way, peer) for way, bars in LAYERS.items() for peer in bars])
def test_net_of_layers(net: tuple[str, Net], way: str, peer: str, compare: Callable[..., None]) -> None:
    name, made = net
    differentiated = gd.value_and_grad(made.dense_loss)
    ours = (lambda: differentiated(made.params)) if way == "gd.dense" else made.model()
    others = {"by hand": lambda: made.by_hand, "torch": made.torch, "autograd": made.autograd}
    theirs = (others | {"the products alone": made.products})[peer]()
    same(ours(), made.by_hand())
    bar = LAYERS[way][peer] if name.startswith("64") else ""
    compare(f"{name}, {way}", ours, {peer: (theirs, bar)})


@pytest.mark.parametrize("padding", [0, 1])
def test_conv2d(padding: int, compare: Callable[..., None]) -> None:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    rng = np.random.default_rng(6)
    x, w = rng.standard_normal((64, 8, 8, 8), np.float32), rng.standard_normal((16, 8, 3, 3), np.float32)
    b = rng.standard_normal(16, np.float32)
    g = rng.standard_normal(gd.conv2d(x, w, b, padding=padding).shape, np.float32)
    differentiated = gd.grad(lambda p: np.vdot(gd.conv2d(*p, padding=padding), g))
    tensors = [torch.from_numpy(a).requires_grad_() for a in (x, w, b)]
    weights = torch.from_numpy(g)

    def theirs() -> Any:
        y = torch.nn.functional.conv2d(*tensors, padding=padding)
        return torch.autograd.grad((y * weights).sum(), tensors)

    for ours, their in zip(differentiated([x, w, b]), theirs(), strict=True):
        np.testing.assert_allclose(ours, their.numpy(), rtol=1e-3, atol=1e-3)
    name = f"conv2d, (64, 8, 8, 8) by 16 3x3, padding {padding}"
    compare(name, lambda: differentiated([x, w, b]), {"torch": (theirs, "<= 1")})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["exp", "log", "tanh"])
def test_elementary_function(name: str, dtype: Any, compare: Callable[..., None]) -> None:
    x = np.random.default_rng(7).uniform(0.1, 3, 4096).astype(dtype)
    y, theirs, function = np.empty_like(x), np.empty_like(x), getattr(np, name)
    kernels.activate(name, x, None, y)
    np.testing.assert_allclose(y, function(x), rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)
    work = f"{name} of 4,096 {np.dtype(dtype)}"
    compare(work, lambda: kernels.activate(name, x, None, y), {"NumPy": (lambda: function(x, out=theirs), "")})


def chain(x: Any, sin: Any) -> Any:
    for _ in range(GATES):
        x = sin(x) * 1.5 + 0.1
    return x


def predator_and_prey(params: Any, _: Any = None) -> Any:
    """Return where a Lotka-Volterra equation of 4 parameters ends, after 60 steps of Runge and Kutta."""
    a, b, c, d = params

    def slope(u: Any, v: Any) -> Any:
        return a * u - b * u * v, c * u * v - d * v

    u, v, h = 1.0, 0.5, 0.05
    for _ in range(60):
        k1 = slope(u, v)
        k2 = slope(u + h / 2 * k1[0], v + h / 2 * k1[1])
        k3 = slope(u + h / 2 * k2[0], v + h / 2 * k2[1])
        k4 = slope(u + h * k3[0], v + h * k3[1])
        u = u + h / 6 * (k1[0] + 2 * k2[0] + 2 * k3[0] + k4[0])
        v = v + h / 6 * (k1[1] + 2 * k2[1] + 2 * k3[1] + k4[1])
    return u * u + v * v


@pytest.mark.parametrize(
    ("work", "f", "params", "bars"),
    [
        ("3,000 scalar gates", chain, [0.3], ("<= 0.04", "<= 0.04")),
        ("Runge and Kutta, 4 parameters", predator_and_prey, [1.1, 0.4, 0.1, 0.4], ("<= 0.1", "<= 0.25")),
    ],
)
def test_scalars(work: str, f: Any, params: list[float], bars: Any, compare: Callable[..., None]) -> None:
    autograd, anp = pytest.importorskip("autograd"), pytest.importorskip("autograd.numpy")
    torch = pytest.importorskip("torch")
    tensors = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in params]
    many = len(params) > 1
    ours = gd.value_and_grad(lambda p: f(p if many else p[0], np.sin))
    theirs = autograd.value_and_grad(lambda p: f(p if many else p[0], anp.sin))

    def by_torch() -> Any:
        return torch.autograd.grad(f(tensors if many else tensors[0], torch.sin), tensors)

    expected = [float(g) for g in by_torch()]
    assert [float(g) for g in ours(params)[1]] == pytest.approx(expected, rel=1e-9)
    assert [float(g) for g in theirs(params)[1]] == pytest.approx(expected, rel=1e-9)
    compare(
        work, lambda: ours(params), {"autograd": (lambda: theirs(params), bars[0]), "torch": (by_torch, bars[1])}
    )


WIDTH, STEPS, SEQUENCES = 64, 32, 16


def lstm(params: Any, xs: Any, zeros: Any, numpy: Any, sigmoid: Any, tanh: Any, concatenate: Any) -> Any:
    """Return the sum of squares of what an LSTM cell ends with."""
    h = c = zeros
    for x in xs:
        z = concatenate([x, h], 1) @ params["w"] + params["b"]
        gates, new = sigmoid(z[:, : 3 * WIDTH]), tanh(z[:, 3 * WIDTH :])
        c = gates[:, WIDTH : 2 * WIDTH] * c + gates[:, :WIDTH] * new
        h = gates[:, 2 * WIDTH :] * tanh(c)
    return numpy.sum(h * h)


def test_lstm(compare: Callable[..., None]) -> None:
    autograd, anp = pytest.importorskip("autograd"), pytest.importorskip("autograd.numpy")
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    rng = np.random.default_rng(8)
    params = {
        "w": 0.1 * rng.standard_normal((2 * WIDTH, 4 * WIDTH), np.float32),
        "b": np.zeros(4 * WIDTH, np.float32),
    }
    xs, zeros = rng.standard_normal((STEPS, SEQUENCES, WIDTH), np.float32), np.zeros((SEQUENCES, WIDTH), np.float32)
    ours = gd.value_and_grad(lambda p: lstm(p, xs, zeros, np, gd.sigmoid, gd.tanh, np.concatenate))
    theirs = autograd.value_and_grad(
        lambda p: lstm(p, xs, zeros, anp, lambda z: 0.5 * (anp.tanh(z / 2) + 1), anp.tanh, anp.concatenate)
    )
    tensors = {name: torch.from_numpy(x).requires_grad_() for name, x in params.items()}
    given = torch.from_numpy(xs), torch.from_numpy(zeros)

    def by_torch() -> Any:
        loss = lstm(tensors, *given, torch, torch.sigmoid, torch.tanh, torch.concatenate)
        return loss.detach(), dict(zip(params, torch.autograd.grad(loss, [*tensors.values()]), strict=True))

    same(ours(params), by_torch())
    same(theirs(params), by_torch())
    peers = {"torch": (by_torch, "<= 0.333"), "autograd": (lambda: theirs(params), "<= 0.125")}
    compare("LSTM cell, 64 wide, 32 steps of 16", lambda: ours(params), peers)


def circuit(x: Any) -> Any:
    for _ in range(GATES // 4):
        x = np.sin(x * 1.5) + x * 0.5
    return x


def scalar() -> tuple[str, Callable[[Any], Any], Any]:
    slope = 1.0
    x = 0.3
    for _ in range(GATES // 4):
        slope *= 1.5 * np.cos(x * 1.5) + 0.5
        x = np.sin(x * 1.5) + x * 0.5
    assert gd.grad(circuit)(0.3) == pytest.approx(slope, rel=1e-9)
    return f"circuit of {GATES:,} scalar gates", circuit, 0.3


@pytest.mark.parametrize("work", [*NETS, "circuit"])
def test_backward_over_forward(
    work: str, budget: Any, record_gates: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    if work == "circuit":
        name, f, params = scalar()
    else:
        made = Net(*NETS[work])
        name, f, params = work, made.loss, made.params
    differentiated = gd.value_and_grad(f)
    walk, backward = operators.carry_back, [0]

    def timed(*args: Any) -> None:
        start = perf_counter_ns()
        walk(*args)
        backward[0] += perf_counter_ns() - start

    def step() -> None:
        differentiated(params)

    monkeypatch.setattr(operators, "carry_back", timed)
    count = budget.iterations(step)
    plain_params = np.float64(params) if work == "circuit" else params
    ahead, behind, plain = [], [], []
    for _ in budget.rounds():
        backward[0] = 0
        start = perf_counter_ns()
        for _ in range(count):
            step()
        total = perf_counter_ns() - start
        behind.append(backward[0] / count)
        ahead.append((total - backward[0]) / count)
        start = perf_counter_ns()
        for _ in range(count):
            f(plain_params)
        plain.append((perf_counter_ns() - start) / count)
    bar = "<= 3" if work == "circuit" else "<= 2"
    for against, times in (("forward", ahead), ("f, not traced", plain)):
        ratios = [b / a for a, b in zip(times, behind, strict=True)]
        record_gates(
            f"{name}: backward",
            against,
            f"{median(behind) / 1000:,.1f} us",
            f"{median(times) / 1000:,.1f} us",
            f"{median(ratios):.3f}",
            f"{min(ratios):.3f}..{max(ratios):.3f}",
            bar if against == "forward" else "",
        )


def test_hessian_of_logistic_regression(compare: Callable[..., None]) -> None:
    autograd = pytest.importorskip("autograd")
    anp = pytest.importorskip("autograd.numpy")
    rng = np.random.default_rng(5)
    x, y, w = rng.standard_normal((1000, 100)), rng.random(1000) < 0.5, 0.1 * rng.standard_normal(100)

    def loss(w: Any, numpy: Any) -> Any:
        z = numpy.dot(x, w)
        return numpy.mean(numpy.logaddexp(0.0, z) - y * z)

    ours, theirs = gd.hessian(lambda w: loss(w, np)), autograd.hessian(lambda w: loss(w, anp))
    p = gd.sigmoid(x @ w)
    expected = (x.T * (p * (1 - p))) @ x / len(x)
    np.testing.assert_allclose(ours(w), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(theirs(w), expected, rtol=1e-9, atol=1e-12)
    compare("hessian, 100 parameters, 1,000 samples", lambda: ours(w), {"autograd": (lambda: theirs(w), "<= 0.1")})


def test_peak_memory(net: tuple[str, Net], record_gates: Callable[..., None]) -> None:
    name, made = net
    differentiated = gd.value_and_grad(made.loss)
    same(differentiated(made.params), made.by_hand())
    ours, theirs = peak(lambda: differentiated(made.params)), peak(made.by_hand)
    bar = "<= 0.8" if name.startswith("784") else ""
    record_gates(f"{name}: peak memory", "by hand", f"{ours:,} B", f"{theirs:,} B", f"{ours / theirs:.3f}", "", bar)


def peak(step: Callable[[], Any]) -> int:
    step()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        step()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
