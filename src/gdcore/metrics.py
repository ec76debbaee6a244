"""What to tell of a model beside its loss.

A ``Metric`` is a mean over samples, which batches can be added up to. A ``Statistic``, as R2, F1 and the AUC are,
is of all samples at once. Those here take a third array too, the weights of the samples, whose mean is to be 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import scores
from .arguments import length

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

    Raises ValueError, when it is called, for ``each`` that does not give one number a sample.

    >>> import numpy as np, gdcore as gd
    >>> absolute = gd.metrics.Metric(lambda w, x, y: abs(w * x - y))
    >>> absolute(2.0, np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    2.0
    """

    each: Callable[..., Any]
    finish: Callable[[float], float] = float
    larger_is_better: bool = False

    def total(self, params: Any, *batch: Array) -> float:
        """Return the sum over the samples of one batch.

        Arguments:
            params: as ``each`` takes them.
            *batch: arrays whose first axis counts the samples.

        Raises ValueError for ``each`` that does not give one number a sample.
        """
        each = np.asarray(self.each(params, *batch))
        if each.shape != (length(batch[0]),):
            raise ValueError(f"metric: expected one number a sample, shape ({length(batch[0])},), got {each.shape}")
        return float(each.sum(dtype=np.float64))

    def __call__(self, params: Any, *arrays: Array) -> float:
        """Return the value over all samples."""
        n = length(arrays[0])
        total = 0.0
        for start in range(0, n, CHUNK):
            total += self.total(params, *(array[start : start + CHUNK] for array in arrays))
        return self.finish(total / n)


@dataclass(frozen=True)
class Statistic:
    """A number that all samples have together, which no mean over batches gives.

    Arguments:
        outputs: ``outputs(params, x)``, of the model; called for some samples at a time.
        value: ``value(out, y)`` returns the number for the outputs and the targets of all samples; where these have
            weights, ``value(out, y, weights)`` is called.
        larger_is_better: True for the likes of R2.

    ``statistic(params, x, y)`` is the value over all samples. :func:`gdcore.fit` tells it after each epoch; it
    refuses ``running=True`` beside it, as each batch has had other parameters.

    Raises ValueError, when it is called, for outputs that are not one row a sample.

    >>> import numpy as np, gdcore as gd
    >>> worst = gd.metrics.Statistic(lambda w, x: w * x, lambda out, y: np.max(abs(out - y)))
    >>> worst(2.0, np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    3.0
    """

    outputs: Outputs
    value: Callable[..., Any]
    larger_is_better: bool = False

    def __call__(self, params: Any, x: Array, y: Array, weights: Array | None = None) -> float:
        """Return the value over all samples."""
        starts = range(0, length(x), CHUNK)
        out = np.concatenate([np.asarray(self.outputs(params, x[start : start + CHUNK])) for start in starts])
        return self.of(out, y, weights)

    def of(self, out: Array, y: Array, weights: Array | None = None) -> float:
        """Return the value for all samples: of the outputs ``out``, the targets ``y``, and their ``weights``.

        Raises ValueError unless there are as many of both.
        """
        if len(out) != len(y):
            raise ValueError(f"outputs: expected one row a sample, {len(y)}, got {len(out)}")
        with _quiet():
            return float(self.value(out, y) if weights is None else self.value(out, y, weights))


def rmse(outputs: Outputs) -> Metric:
    """Return the metric ``sqrt(mean((outputs(params, x) - y)^2))``, for ``y`` of shape (n,) or (n, k).

    Arguments:
        outputs: ``outputs(params, x)``, of the model.

    Its calls raise ValueError where there is not one row of outputs a sample.

    >>> import numpy as np, gdcore as gd
    >>> gd.metrics.rmse(lambda w, x: w * x)(1.0, np.array([1.0, 2.0]), np.array([8.0, 3.0]))
    5.0
    """

    def each(params: Any, x: Array, y: Array, weights: Array | None = None) -> Array:
        return _weighted(_by_sample(np.square, np.asarray(outputs(params, x)), y), weights)

    return Metric(each, _root)


def mae(outputs: Outputs) -> Metric:
    """Return the metric ``mean(|outputs(params, x) - y|)``, for ``y`` of shape (n,) or (n, k).

    Arguments:
        outputs: ``outputs(params, x)``, of the model.

    Its calls raise ValueError where there is not one row of outputs a sample.

    >>> import numpy as np, gdcore as gd
    >>> gd.metrics.mae(lambda w, x: w * x)(1.0, np.array([1.0, 2.0]), np.array([8.0, 3.0]))
    4.0
    """

    def each(params: Any, x: Array, y: Array, weights: Array | None = None) -> Array:
        return _weighted(_by_sample(np.abs, np.asarray(outputs(params, x)), y), weights)

    return Metric(each)


def r2(outputs: Outputs) -> Statistic:
    """Return the statistic ``1 - sum((y - out)^2) / sum((y - mean(y))^2)``, the coefficient of determination.

    ``y`` has shape (n,), or (n, k) for the mean over k targets. The mean of these very samples alone has 0, what is
    worse less. As in scikit-learn, targets that are all equal give 1 where they are met, else 0, and fewer than two
    samples give NaN.

    Arguments:
        outputs: ``outputs(params, x)``, of the model.

    Its calls raise ValueError where there is not one row of outputs a sample.

    >>> import numpy as np, gdcore as gd
    >>> gd.metrics.r2(lambda w, x: w * x)(1.0, np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0])).__round__(6)
    0.785714
    """
    return Statistic(outputs, scores.r2, larger_is_better=True)


def f1(outputs: Outputs) -> Statistic:
    """Return the statistic ``2 precision recall / (precision + recall)``, of classes.

    ``y`` and ``outputs`` are as for :func:`accuracy`. With one score a sample it is that of class 1; with a score
    for each class, the mean over the classes that samples have or are given (scikit-learn's ``average="macro"``).
    Where nothing is right it is 0, even where nothing was there to be found.

    Arguments:
        outputs: ``outputs(params, x)``, of the model.

    Its calls raise ValueError where there is not one row of outputs a sample.

    >>> import numpy as np, gdcore as gd
    >>> scores = np.array([2.0, -1.0, 3.0])
    >>> gd.metrics.f1(lambda _, x: scores)(None, np.zeros(3), np.array([1, 1, 1]))
    0.8
    """
    return Statistic(outputs, scores.f1, larger_is_better=True)


def auc(outputs: Outputs) -> Statistic:
    """Return the statistic: how often a sample of a class has a higher score for it than one of another class.

    That is the area under the ROC curve; equal scores count half. ``y`` holds classes, (n,). For classes 0 and 1
    ``outputs(params, x)`` has one score a sample, (n,), higher for class 1. Otherwise it has a logit a class, (n,
    classes): samples are ranked by the probability of each class against the rest, and the mean over the classes is
    taken (scikit-learn's ``multi_class="ovr"``). Where all samples or none are of a class there is nothing to
    compare, and the value is NaN, as for scores that are NaN.

    Arguments:
        outputs: ``outputs(params, x)``, of the model.

    Its calls raise ValueError where there is not one row of outputs a sample.

    >>> import numpy as np, gdcore as gd
    >>> scores = np.array([0.1, 0.4, 0.35, 0.8])
    >>> gd.metrics.auc(lambda _, x: scores)(None, np.zeros(4), np.array([0, 0, 1, 1]))
    0.75

    Source: Hanley, McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC) curve",
    1982.
    """
    return Statistic(outputs, scores.auc, larger_is_better=True)


def accuracy(outputs: Outputs) -> Metric:
    """Return the metric: the part of the samples whose class is the one that the model gives most.

    ``y`` holds the classes, (n,). ``outputs(params, x)`` has the score of each class, (n, classes), or, for two
    classes 0 and 1, one score a sample, (n,), that is positive for class 1.

    Arguments:
        outputs: ``outputs(params, x)``, of the model.

    Its calls raise ValueError where there is not one row of outputs a sample.

    >>> import numpy as np, gdcore as gd
    >>> scores = np.array([[0.1, 0.9], [0.8, 0.2]])
    >>> gd.metrics.accuracy(lambda _, x: scores)(None, np.zeros(2), np.array([1, 1]))
    0.5
    """

    def each(params: Any, x: Array, y: Array, weights: Array | None = None) -> Array:
        return _weighted(scores.predicted(np.asarray(outputs(params, x))) == y, weights)

    return Metric(each, larger_is_better=True)


def cross_entropy(outputs: Outputs) -> Metric:
    """Return the metric ``mean(-log p(y))``, in nats.

    ``y`` holds the classes, integers (n,). ``outputs(params, x)`` are logits: one a class, (n, classes), or, for
    classes 0 and 1, one a sample, (n,).

    Arguments:
        outputs: ``outputs(params, x)``, of the model.

    Its calls raise ValueError where there is not one row of outputs a sample.

    >>> import numpy as np, gdcore as gd
    >>> round(gd.metrics.cross_entropy(lambda _, x: x)(None, np.zeros((3, 4)), np.array([0, 1, 3])), 6)
    1.386294
    """

    def each(params: Any, x: Array, y: Array, weights: Array | None = None) -> Array:
        out = np.asarray(outputs(params, x))
        with _quiet():
            if out.ndim == 1:
                losses: Array = np.logaddexp(out, 0) - out * y
                return _weighted(losses, weights)
            below = out - out.max(axis=1, keepdims=True)
            chosen: Array = np.log(np.exp(below).sum(axis=1)) - below[np.arange(len(y)), y]
            return _weighted(chosen, weights)

    return Metric(each)


def _weighted(each: Array, weights: Array | None) -> Array:
    return each if weights is None else each * weights


def _root(mean: float) -> float:
    return float(np.sqrt(mean))


def _by_sample(cost: Callable[..., Array], out: Array, y: Array) -> Array:
    """Return the mean cost of each sample's errors, (n,)."""
    scores.check_like(out, y)
    with _quiet():
        costs = cost(out - y, dtype=np.float64)
        mean: Array = costs.reshape(len(y), -1).mean(axis=1)
    return mean
