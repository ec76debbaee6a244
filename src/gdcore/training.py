"""The training process: the batches of an epoch, the loop over epochs, and what happened in them.

It is given the optimizer and the gradient, and knows neither.
"""

import math
import numbers
import operator
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
Record = dict[str, Any]
"""What is known of one epoch, by name."""


class Steps(Protocol):
    """What :func:`fit` needs of an optimizer."""

    def step(self, grads: Any, /) -> None:
        """Update the parameters in place."""


class History:
    """What happened in a run of :func:`fit`: one record, a plain dict, an epoch.

    >>> history = History([{"epoch": 1, "loss": 4.0, "seconds": 0.1}, {"epoch": 2, "loss": 1.0, "seconds": 0.1}])
    >>> history
    History(2 epochs, loss 4 -> 1, 0.2 s)
    >>> history.to_dict()["loss"]
    [4.0, 1.0]
    """

    def __init__(self, records: list[Record]) -> None:
        self.records = records

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the records by column; None where a record lacks a key that another has."""
        keys = dict.fromkeys(key for record in self.records for key in record)
        return {key: [record.get(key) for record in self.records] for key in keys}

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        if not self.records:
            return "History(0 epochs)"
        seconds = sum(record.get("seconds", 0.0) for record in self.records)
        first, last = (self.records[index].get("loss", math.nan) for index in (0, -1))
        plural = "" if len(self.records) == 1 else "s"
        return f"History({len(self.records)} epoch{plural}, loss {first:.6g} -> {last:.6g}, {seconds:.3g} s)"


def minibatches(
    *arrays: Array, batch_size: int, rng: np.random.Generator | None, shuffle: bool = True
) -> Iterator[tuple[Array, ...]]:
    """Return an iterator over the batches of one epoch, in which every sample comes once.

    Arguments:
        arrays: one or more NumPy arrays of any dtype with the same first length ``n >= 1``, the number of samples.
        batch_size: samples a batch, an int >= 1; the last batch has the ``n mod batch_size`` that are left.
        rng: draws the order, once, when ``minibatches`` is called. May be None if ``shuffle`` is False.
        shuffle: True yields copies of the samples in random order, made batch by batch; False yields views of
            them in the order of the arrays.

    Each batch is a tuple with a part of each array; for one array too.

    Raises TypeError or ValueError, at once, for an argument that is none of these.

    >>> import numpy as np, gdcore as gd
    >>> x = np.arange(5)
    >>> [batch.tolist() for (batch,) in gd.minibatches(x, batch_size=2, rng=None, shuffle=False)]
    [[0, 1], [2, 3], [4]]
    >>> rng = np.random.default_rng(0)
    >>> sum(int(a.sum()) for a, b in gd.minibatches(x, x > 2, batch_size=2, rng=rng))
    10
    """
    size = _checked_batches(arrays, batch_size, rng, shuffle)
    order = rng.permutation(len(arrays[0])) if shuffle and rng is not None else None
    return _batches(arrays, size, order)


def fit(
    value_and_grad: Callable[..., tuple[Any, Any]],
    params: Any,
    data: Sequence[Array],
    optimizer: Steps,
    *,
    epochs: int,
    batch_size: int,
    rng: np.random.Generator | None,
    shuffle: bool = True,
    callback: Callable[[Record, Any], bool | None] | None = None,
) -> History:
    """Train ``params`` in place: one step of ``optimizer`` for each batch of each epoch.

    ``loss, grads = value_and_grad(params, *batch)``, then ``optimizer.step(grads)``.

    Arguments:
        value_and_grad: any callable that returns the loss of a batch, a real number, and its gradients, a tree
            that ``optimizer.step`` takes.
        params: what ``value_and_grad`` is given first: the parameters that ``optimizer`` steps in place.
        data: a tuple of arrays, as :func:`minibatches` takes them.
        optimizer: anything with ``step(grads)``, made for ``params``.
        epochs: how often to go through the data, an int >= 0.
        batch_size: samples a step, as for :func:`minibatches`.
        rng: draws a new order for each epoch, as for :func:`minibatches`.
        shuffle: False goes through the data in order, as for :func:`minibatches`.
        callback: called as ``callback(record, params)`` after each epoch. It may add keys to the record, and
            stops the run by returning True.

    A record has ``epoch``, from 1; ``loss``, the mean over the samples of the losses met during the epoch: each
    batch's loss, before its step, weighted by the length of the batch; and ``seconds``, the time of the epoch
    without the callback.

    Raises TypeError or ValueError for an argument out of its range, before any step; TypeError for a loss that is
    no real number; and FloatingPointError, naming epoch and step, for a loss that is not finite. In both, and when
    ``value_and_grad`` or the optimizer raises, or Ctrl-C interrupts, the parameters stand where the last whole step
    left them. Where the loss is not finite, that is where it is not.

    >>> import numpy as np, gdcore as gd
    >>> x = np.arange(8.0)
    >>> w = np.zeros(1)
    >>> def value_and_grad(w, x, y):
    ...     r = w * x - y
    ...     return np.mean(r**2), np.array([2 * np.mean(r * x)])
    >>> rng = np.random.default_rng(0)
    >>> history = gd.fit(value_and_grad, w, (x, 3 * x), gd.SGD(w, lr=0.01), epochs=20, batch_size=4, rng=rng)
    >>> w.round(6)
    array([3.])
    >>> len(history)
    20
    """
    if not callable(value_and_grad):
        raise TypeError(f"value_and_grad: expected a callable, got {type(value_and_grad).__name__}")
    if not callable(getattr(optimizer, "step", None)):
        raise TypeError(f"optimizer: expected an object with step(grads), got {type(optimizer).__name__}")
    if callback is not None and not callable(callback):
        raise TypeError(f"callback: expected a callable or None, got {type(callback).__name__}")
    if not isinstance(data, tuple | list):
        raise TypeError(f"data: expected a tuple of arrays, got {type(data).__name__}")
    epochs = _checked_int("epochs", epochs, 0)
    _checked_batches(data, batch_size, rng, shuffle, "data")
    history = History([])
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        total = 0.0
        batches = minibatches(*data, batch_size=batch_size, rng=rng, shuffle=shuffle)
        for step, batch in enumerate(batches, start=1):
            value, grads = _checked_pair(value_and_grad(params, *batch))
            loss = _checked_loss(value, epoch, step)
            optimizer.step(grads)
            total += loss * len(batch[0])
        seconds = time.perf_counter() - started
        record: Record = {"epoch": epoch, "loss": total / len(data[0]), "seconds": seconds}
        history.records.append(record)
        if callback is not None:
            stop = callback(record, params)
            if isinstance(stop, bool | np.bool_) and stop:
                break
    return history


def _batches(arrays: tuple[Array, ...], size: int, order: Array | None) -> Iterator[tuple[Array, ...]]:
    for start in range(0, len(arrays[0]), size):
        part = slice(start, start + size)
        where = part if order is None else order[part]
        yield tuple(array[where] for array in arrays)


def _checked_batches(arrays: Sequence[Any], batch_size: Any, rng: Any, shuffle: Any, name: str = "arrays") -> int:
    if not isinstance(shuffle, bool | np.bool_):
        raise TypeError(f"shuffle: expected True or False, got {shuffle!r} of type {type(shuffle).__name__}")
    if not isinstance(rng, np.random.Generator) and not (rng is None and not shuffle):
        raise TypeError(
            f"rng: expected a numpy.random.Generator, such as np.random.default_rng(0), "
            f"{'' if shuffle else 'or None '}got {rng!r} of type {type(rng).__name__}"
        )
    size = _checked_int("batch_size", batch_size, 1)
    if not arrays:
        raise ValueError(f"{name}: expected at least one array, got none")
    for index, array in enumerate(arrays):
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{name}[{index}]: expected a NumPy array, got {type(array).__name__}")
        if array.ndim == 0 or len(array) == 0:
            raise ValueError(f"{name}[{index}]: expected at least one sample, got shape {array.shape}")
        if len(array) != len(arrays[0]):
            raise ValueError(
                f"{name}[{index}]: expected {len(arrays[0])} samples, as in {name}[0], got {len(array)}"
            )
    return size


def _checked_int(name: str, value: Any, least: int) -> int:
    said = f"{name}: expected an int >= {least}, got {value!r}"
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{said} of type {type(value).__name__}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{said} of type {type(value).__name__}") from None
    if number < least:
        raise ValueError(said)
    return number


def _checked_pair(returned: Any) -> tuple[Any, Any]:
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        got = f"{len(returned)} items" if isinstance(returned, tuple | list) else type(returned).__name__
        raise TypeError(f"value_and_grad: expected to return a loss and its gradients, got {got}")
    return returned[0], returned[1]


def _checked_loss(value: Any, epoch: int, step: int) -> float:
    real = isinstance(value, numbers.Real) or (
        isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "fiu"
    )
    if not real or isinstance(value, bool | np.bool_):
        got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise TypeError(f"value_and_grad: expected a loss that is one real number, got {got}")
    loss = float(value)
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"loss: expected a finite number, got {loss} at step {step} of epoch {epoch}; try a smaller lr"
        )
    return loss
