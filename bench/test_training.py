"""Whole training: an epoch of digits, against MLPClassifier and a torch loop, and what ``fit`` costs itself.

1,500 images, a 64-64-10 relu net, float32, batches of 64 in random order, Adam: the same on every side, on one
thread. Each side has first to read 98 % of the images right, and gdcore's loss at the weights of a peer has to be
that of the peer.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gdcore as gd
from gdcore.cli.options import Options

Array = np.ndarray[Any, Any]

SIZES, BATCH, LR = (64, 64, 10), 64, 1e-3
EPOCHS = 60  # until 98 % are right


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threadpoolctl = pytest.importorskip("threadpoolctl")  # comes with scikit-learn
    with threadpoolctl.threadpool_limits(1):
        yield


@pytest.fixture
def digits() -> tuple[Array, Array]:
    images, classes = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    return (images[:1500] / 16).astype(np.float32), classes[:1500]


class Ours:
    """The net, and its epoch in two ways."""

    def __init__(self, x: Array, y: Array) -> None:
        self.data = x, y
        self.rng = np.random.default_rng(0)
        self.net = gd.models.MLP(SIZES, task="classes", rng=self.rng, dtype=np.float32)
        self.optimizer = gd.Adam(self.net.groups(), lr=LR)

    def fit(self, epochs: int = 1) -> None:
        """Train for some epochs."""
        gd.fit(
            self.net.value_and_grad,
            self.net.params,
            self.data,
            self.optimizer,
            epochs=epochs,
            batch_size=BATCH,
            rng=self.rng,
            progress=False,
        )

    def bare(self, epochs: int = 1) -> None:
        """Train for some epochs by nothing but the calls that ``fit`` makes."""
        for _ in range(epochs):
            for x, y in gd.minibatches(*self.data, batch_size=BATCH, rng=self.rng):
                _, grads = self.net.value_and_grad(self.net.params, x, y)
                self.optimizer.step(grads)

    def learned(self) -> bool:
        """Return whether the net reads 98 % right after some epochs."""
        self.fit(EPOCHS)
        x, y = self.data
        return bool((self.net.predict(x) == y).mean() > 0.98)


def scikit_learn(x: Array, y: Array) -> tuple[Callable[[], Any], Callable[[], Any], Callable[[], Any]]:
    neural_network = pytest.importorskip("sklearn.neural_network")
    net = neural_network.MLPClassifier(
        SIZES[1:-1], batch_size=BATCH, learning_rate_init=LR, alpha=0.0, random_state=0
    )
    net.partial_fit(x, y, classes=np.arange(10))
    return (
        lambda: net.partial_fit(x, y),
        lambda: (net.coefs_, net.intercepts_),
        lambda: -np.log(net.predict_proba(x)[np.arange(len(y)), y]).mean(),
    )


def torch(x: Array, y: Array) -> tuple[Callable[[], Any], Callable[[], Any], Callable[[], Any]]:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    first, last = torch.nn.Linear(*SIZES[:2]), torch.nn.Linear(*SIZES[1:])
    net = torch.nn.Sequential(first, torch.nn.ReLU(), last)
    optimizer = torch.optim.Adam(net.parameters(), lr=LR, fused=True)
    cross_entropy = torch.nn.functional.cross_entropy
    images, classes = torch.from_numpy(x), torch.from_numpy(y)

    def epoch() -> None:
        order = torch.randperm(len(images))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            optimizer.zero_grad()
            cross_entropy(net(images[batch]), classes[batch]).backward()
            optimizer.step()

    def params() -> Any:
        weights = [layer.weight.detach().numpy().T for layer in (first, last)]
        return weights, [layer.bias.detach().numpy() for layer in (first, last)]

    return epoch, params, lambda: cross_entropy(net(images), classes).item()


@pytest.mark.parametrize(
    ("peer", "make", "bar"), [("MLPClassifier", scikit_learn, "<= 0.143"), ("torch, fused", torch, "<= 0.167")]
)
def test_epoch_of_digits(
    peer: str, make: Any, bar: str, digits: tuple[Array, Array], compare: Callable[..., None]
) -> None:
    ours = Ours(*digits)
    epoch, params, loss = make(*digits)
    for _ in range(EPOCHS):
        epoch()
    assert ours.learned()
    assert gd.metrics.accuracy(ours.net.outputs)(params(), *digits) > 0.98
    assert ours.net.loss(params(), *digits) == pytest.approx(loss(), rel=1e-4)
    compare("digits, an epoch of a 64-64-10 net", ours.fit, {peer: (epoch, bar)})


def test_fit_beside_a_bare_loop(digits: tuple[Array, Array], compare: Callable[..., None]) -> None:
    ours, bare = Ours(*digits), Ours(*digits)
    ours.fit(10)
    bare.bare(10)
    for a, b in zip(ours.net.params[0], bare.net.params[0], strict=True):
        np.testing.assert_array_equal(a, b)
    compare("digits, 10 epochs by fit", lambda: ours.fit(10), {"bare loop": (lambda: bare.bare(10), "<= 1.05")})


def test_read_and_train(pytestconfig: pytest.Config, tmp_path: Path, compare: Callable[..., None]) -> None:
    """A table of 20 columns, read and trained on for an epoch, beside reading it to the same matrix alone."""
    polars = pytest.importorskip("polars")
    from gdcore.cli.problem import posed  # noqa: PLC0415
    from gdcore.tables.table import Table  # noqa: PLC0415

    rows = 2_000 if pytestconfig.getoption("short") else 1_000_000
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, 19))
    y = x @ rng.standard_normal(19) + 0.1 * rng.standard_normal(rows)
    path = tmp_path / "table.csv"
    polars.DataFrame({**{f"x{i}": x[:, i] for i in range(19)}, "y": y}).write_csv(path)
    options = Options(str(path), "y")

    def ours() -> float:
        problem = posed(options, Table(path))
        network = problem.model.network
        optimizer = gd.Adam(network.groups(), lr=options.rate)
        history = gd.fit(
            network.value_and_grad, network.params, problem.data, optimizer,
            epochs=1, batch_size=64, rng=problem.rng, validation=problem.validation, progress=False,
        )  # fmt: skip
        loss: float = history.records[0]["validation_loss"]
        return loss

    def read() -> Array:
        matrix: Array = polars.read_csv(path).to_numpy(order="c")
        return matrix

    np.testing.assert_array_equal(read(), np.column_stack([x, y]))
    assert ours() < (1 if rows < 1_000_000 else 1e-3)
    compare(f"CSV of {rows:,} rows, read and trained on", ours, {"polars.read_csv": (read, "<= 3")})
