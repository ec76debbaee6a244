"""What to tell of a model beside its loss: means over samples, which batches can be added up to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Outputs = Callable[[Any, Array], Any]
"""``outputs(params, x)``: what a model gives for the samples ``x``, of length ``len(x)``."""

CHUNK = 8192
"""Samples that a metric sees at once: as many as keep the intermediate results in cache."""


def _quiet() -> Any:
    # A run that diverges shows in its numbers, and what is right may underflow on the way.
    return np.errstate(over="ignore", under="ignore", invalid="ignore")


@dataclass(frozen=True)
class Metric:
    """The mean of a number that each sample has, and what becomes of that mean.

    Arguments:
        each: ``each(params, *batch)`` returns one real number a sample, shape (n,).
        finish: takes the mean over all samples to the value told, as ``math.sqrt`` does for the RMSE.
        larger_is_better: True for the likes of accuracy.

    ``metric(params, *arrays)`` is the value over all samples of ``arrays``, taken as by :func:`gdcore.minibatches`.

    >>> import numpy as np, gdcore as gd
    >>> absolute = gd.metrics.Metric(lambda w, x, y: abs(w * x - y))
    >>> absolute(2.0, np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    2.0
    """

    each: Callable[..., Any]
    finish: Callable[[float], float] = float
    larger_is_better: bool = False

    def total(self, params: Any, *batch: Array) -> float:
        """Return the sum over the samples of one batch."""
        each = np.asarray(self.each(params, *batch))
        if each.shape != (len(batch[0]),):
            raise ValueError(f"metric: expected one number a sample, shape ({len(batch[0])},), got {each.shape}")
        return float(each.sum(dtype=np.float64))

    def __call__(self, params: Any, *arrays: Array) -> float:
        """Return the value over all samples."""
        n = len(arrays[0])
        total = 0.0
        for start in range(0, n, CHUNK):
            total += self.total(params, *(array[start : start + CHUNK] for array in arrays))
        return self.finish(total / n)


def rmse(outputs: Outputs) -> Metric:
    """Return the metric ``sqrt(mean((outputs(params, x) - y)^2))``, for ``y`` of shape (n,) or (n, k).

    >>> import numpy as np, gdcore as gd
    >>> gd.metrics.rmse(lambda w, x: w * x)(1.0, np.array([1.0, 2.0]), np.array([8.0, 3.0]))
    5.0
    """

    def each(params: Any, x: Array, y: Array) -> Array:
        out = np.asarray(outputs(params, x))
        if out.shape != y.shape:
            raise ValueError(f"outputs: expected the shape of y, {y.shape}, got {out.shape}")
        with _quiet():
            squares = np.square(out - y, dtype=np.float64)
            mean: Array = squares.reshape(len(y), -1).mean(axis=1)
        return mean

    return Metric(each, _root)


def accuracy(outputs: Outputs) -> Metric:
    """Return the metric: the part of the samples whose class is the one that the model gives most.

    ``y`` holds the classes, (n,). ``outputs(params, x)`` has the score of each class, (n, classes), or, for two
    classes 0 and 1, one score a sample, (n,), that is positive for class 1.

    >>> import numpy as np, gdcore as gd
    >>> scores = np.array([[0.1, 0.9], [0.8, 0.2]])
    >>> gd.metrics.accuracy(lambda _, x: scores)(None, np.zeros(2), np.array([1, 1]))
    0.5
    """

    def each(params: Any, x: Array, y: Array) -> Array:
        out = np.asarray(outputs(params, x))
        right: Array = (out > 0 if out.ndim == 1 else out.argmax(axis=1)) == y
        return right

    return Metric(each, larger_is_better=True)


def cross_entropy(outputs: Outputs) -> Metric:
    """Return the metric ``mean(-log p(y))``, in nats.

    ``y`` holds the classes, integers (n,). ``outputs(params, x)`` are logits: one a class, (n, classes), or, for
    classes 0 and 1, one a sample, (n,).

    >>> import numpy as np, gdcore as gd
    >>> round(gd.metrics.cross_entropy(lambda _, x: x)(None, np.zeros((3, 4)), np.array([0, 1, 3])), 6)
    1.386294
    """

    def each(params: Any, x: Array, y: Array) -> Array:
        out = np.asarray(outputs(params, x))
        with _quiet():
            if out.ndim == 1:
                losses: Array = np.logaddexp(out, 0) - out * y
                return losses
            below = out - out.max(axis=1, keepdims=True)
            chosen: Array = np.log(np.exp(below).sum(axis=1)) - below[np.arange(len(y)), y]
            return chosen

    return Metric(each)


def _root(mean: float) -> float:
    return float(np.sqrt(mean))
