"""How good outputs are for targets: numbers of plain arrays, in scikit-learn's conventions.

``out`` and ``y`` are of n samples: numbers of one shape; or scores and the classes, (n,). Scores are one a class,
(n, classes), or one a sample, (n,), that is positive for class 1 of 0 and 1. ``weights``, (n,), are those of the
samples, >= 0.
"""

import numpy as np

from .arguments import Array, describe


def check_like(out: Array, y: Array) -> None:
    """Raise ValueError unless the outputs have the shape of the targets."""
    if out.shape != y.shape:
        raise ValueError(f"outputs: expected the shape of y, {y.shape}, got {out.shape}")


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def r2(out: Array, y: Array, weights: Array | None = None) -> float:
    """Return ``1 - sum((y - out)^2) / sum((y - mean(y))^2)``, the mean over the targets of a sample."""
    check_like(out, y)
    if len(y) < 2:
        return np.nan
    columns = y.reshape(len(y), -1).astype(np.float64)
    left = _sum(np.square(out.reshape(columns.shape) - columns), weights)
    total = _sum(np.square(columns - np.average(columns, axis=0, weights=weights)), weights)
    values = 1 - left / np.where(total == 0, 1, total)
    return float(np.where(total == 0, left == 0, values).mean())


def _sum(each: Array, weights: Array | None) -> Array:
    total: Array = each.sum(axis=0) if weights is None else weights @ each
    return total


def predicted(out: Array) -> Array:
    """Return the classes that scores stand for, (n,)."""
    return (out > 0).astype(np.intp) if out.ndim == 1 else out.argmax(axis=1)


def confusion(classes: Array, y: Array, count: int, weights: Array | None = None) -> Array:
    """Return how many samples of class i are taken for class j, or what they weigh: (count, count)."""
    return np.bincount(y * count + classes, weights, minlength=count * count).reshape(count, count)


def rates(matrix: Array) -> tuple[Array, Array, Array]:
    """Return precision, recall and F1 of each class from what :func:`confusion` returns; 0 for 0 / 0."""
    right, had, given = np.diagonal(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return right / _some(given), right / _some(had), 2 * right / _some(had + given)


def _some(amount: Array) -> Array:
    return np.where(amount == 0, 1, amount)


def f1(out: Array, y: Array, weights: Array | None = None) -> float:
    """Return F1 of class 1, or the mean over the classes that samples have or are given."""
    matrix = confusion(predicted(out), _classes(out, y), _count(out), weights)
    each = rates(matrix)[2]
    return float(each[1] if out.ndim == 1 else each[matrix.sum(axis=0) + matrix.sum(axis=1) > 0].mean())


def auc(out: Array, y: Array, weights: Array | None = None) -> float:
    """Return the area under the ROC curve of class 1, or the mean over the classes, each against the rest."""
    y, out = _classes(out, y), out.astype(np.float64)
    if out.ndim == 1:
        return _area(out, y == 1, weights)
    if out.shape[1] == 2:
        return _area(out[:, 1] - out[:, 0], y == 1, weights)
    # Log odds rank as probabilities do, and do not come together at 1.
    odds = (out[:, c] - np.logaddexp.reduce(np.delete(out, c, axis=1), axis=1) for c in range(out.shape[1]))
    return float(np.mean([_area(each, y == c, weights) for c, each in enumerate(odds)]))


def _area(each: Array, of_class: Array, weights: Array | None) -> float:
    n = np.count_nonzero(of_class)
    others = len(each) - n
    if not n or not others or np.isnan(each).any():
        return np.nan
    _, place, counts = np.unique(each, return_inverse=True, return_counts=True)
    if weights is not None:
        own, rest = (np.bincount(place, np.where(which, weights, 0.0)) for which in (of_class, ~of_class))
        pairs = own.sum() * rest.sum()
        return float(own @ (np.cumsum(rest) - rest / 2) / pairs) if pairs else np.nan
    ranks = np.cumsum(counts) - (counts - 1) / 2  # equal scores share the mean of their ranks
    return float((ranks[place[of_class]].sum() - n * (n + 1) / 2) / (n * others))


def _count(out: Array) -> int:
    return 2 if out.ndim == 1 else out.shape[1]


def _classes(out: Array, y: Array) -> Array:
    """Return the classes as integers; raise ValueError for others than there are scores for."""
    if y.shape != (len(out),):
        raise ValueError(f"y: expected classes, ({len(out)},), got {describe(y)}")
    other = y[~np.isin(y, np.arange(_count(out)))]
    if len(other):
        raise ValueError(f"y: expected classes from 0 to {_count(out) - 1}, got {other[0]}")
    return y.astype(np.intp)
