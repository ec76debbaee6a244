"""Softmax, its logarithm, and the losses of a net: numerically stable, fused and compiled."""

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ...arguments import describe
from .._back import underflow_ignored
from .._gate import Gate, fused
from .._layers import CrossEntropy
from .._traced import Traced, real
from ..batched import Batched, refuse
from ..joining import array
from ..nets import _door as door
from ..nets import plain
from .table import TABLE, Row, row


def softmax(x: Any, axis: int = -1) -> Any:
    """Return ``exp(x) / sum(exp(x))`` along ``axis``; no ``x`` overflows.

    Arguments:
        x: an array of floats.
        axis: along which it sums, an int.

    Raises NumPy's AxisError for an axis that there is not.

    >>> softmax(np.array([0.0, 1000.0]))
    array([0., 1.])
    """
    return _softmax(x, axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """Return ``x - log(sum(exp(x)))`` along ``axis``; no ``x`` overflows.

    Arguments:
        x: an array of floats.
        axis: along which it sums, an int.

    Raises NumPy's AxisError for an axis that there is not.

    >>> log_softmax(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """
    return _log_softmax(x, axis)


def logsumexp(x: Any, axis: Any = None, b: Any = None, keepdims: bool = False) -> Any:
    """Return ``log(sum(b * exp(x)))`` over ``axis``, or over all; no ``x`` overflows. Without ``b`` it is 1.

    Elements of ``-inf`` add nothing; a sum of nothing is ``-inf``. Of equal infinite elements each gets its share
    of the gradient.

    Arguments:
        x: an array of floats.
        axis: over which it sums, an int or a tuple of them; None for all.
        b: factors of the terms, an array that broadcasts against ``x``.
        keepdims: keep the axes as ones of length 1.

    Raises NumPy's AxisError for an axis that there is not.

    >>> logsumexp(np.array([1000.0, 1000.0])).round(4)
    np.float64(1000.6931)
    >>> logsumexp(np.zeros((2, 3)), axis=1, b=np.array([1.0, 2.0, 3.0])).round(4)
    array([1.7918, 1.7918])
    """
    x = array(x)
    axes = tuple(range(-x.ndim, 0)) if axis is None else axis if type(axis) is tuple else (axis,)
    axes = tuple(axis - x.ndim for axis in normalize_axis_tuple(axes, x.ndim, "axis"))
    if b is not None:
        b = array(b)
        top = np.max(real(x), axes, keepdims=True, initial=-np.inf)
        top = np.where(np.isfinite(top), top, 0).astype(x.dtype)
        with np.errstate(divide="ignore", invalid="ignore"):
            ans = np.log(np.sum(b * np.exp(x - top), axis=axes, keepdims=True)) + top
    else:
        ans = _log_sum_exp(x, axes)
    if keepdims:
        return ans
    return ans.reshape([length for axis, length in enumerate(ans.shape, -x.ndim) if axis not in axes])[()]


def softmax_cross_entropy(logits: Any, labels: Any) -> Any:
    """Return the mean over the samples of ``-sum(labels * log(softmax(logits)))``.

    Arguments:
        logits: float32 or float64 of shape (..., k), with at least one sample.
        labels: the classes as integers from 0 to k - 1, of shape (...); or the probabilities of the classes, such
            as one-hot rows, of the shape of ``logits``.

    Raises TypeError or ValueError for other labels and for no samples.

    >>> logits = np.array([[0.0, 0.0], [1000.0, 0.0]])
    >>> softmax_cross_entropy(logits, np.array([0, 0])).round(4)
    np.float64(0.3466)
    >>> softmax_cross_entropy(logits, np.array([[1.0, 0.0], [1.0, 0.0]])).round(4)
    np.float64(0.3466)
    """
    if type(logits) is Batched:
        return _batched_cross_entropy(logits, labels)
    made = _of_classes(logits, labels)
    if made is not None:
        return made
    if type(labels) is not Traced and type(labels) is not np.ndarray:
        labels = np.asarray(labels)
    if type(logits) is not Traced:
        logits = np.asarray(logits)
    shape = logits.shape
    kind = labels.dtype.kind
    if kind not in "iuf":
        raise TypeError(f"labels: expected integers or floats, got {describe(real(labels))}")
    expected: Any = shape if kind == "f" else shape[:-1]
    if not shape or labels.shape != expected:
        raise ValueError(
            f"labels: expected shape {expected} for logits of shape {shape}, got {describe(real(labels))}"
        )
    if 0 in shape:
        raise ValueError(f"logits: expected at least one sample and one class, got shape {shape}")
    return _softmax_cross_entropy(logits, labels)


def squared_error(prediction: Any, target: Any) -> Any:
    """Return the mean over all elements of ``(prediction - target)^2``; there is no factor 1/2.

    Both have the same shape, with at least one element: a ValueError otherwise, as arrays of shapes (n, 1) and (n,)
    would be broadcast to (n, n).

    Arguments:
        prediction: an array of floats.
        target: an array of the same shape.

    Raises ValueError for another shape, and for arrays without elements.

    >>> squared_error(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    np.float64(2.0)
    """
    if np.shape(prediction) != np.shape(target):
        raise ValueError(f"target: expected {describe(real(prediction))}, got {describe(real(target))}")
    if np.size(prediction) == 0:
        raise ValueError(f"prediction: expected at least one element, got shape {np.shape(prediction)}")
    if Batched in {type(prediction), type(target)}:
        return np.mean(np.square(prediction - target))
    return _squared_error(prediction, target)


def _softmax_of(x: Any, axis: int = -1) -> Any:
    if type(x) is Batched:
        return Batched(softmax(x.value, axis if axis < 0 else axis + 1))
    return plain.rows("softmax", x, axis)


def _log_softmax_of(x: Any, axis: int = -1) -> Any:
    if type(x) is Batched:
        return Batched(log_softmax(x.value, axis if axis < 0 else axis + 1))
    return plain.rows("log_softmax", x, axis)


def _pull_softmax(ans: Any, x: Any, axis: int = -1) -> Any:
    axis = axis - ans.ndim if axis >= 0 else axis

    def pull(g: Any) -> Any:
        d = plain.rows_back("softmax", g, ans, axis)
        return ans * (g - (g * ans).sum(axis=axis, keepdims=True)) if d is None else d

    return pull


def _pull_log_softmax(ans: Any, x: Any, axis: int = -1) -> Any:
    axis = axis - ans.ndim if axis >= 0 else axis

    def pull(g: Any) -> Any:
        d = plain.rows_back("log_softmax", g, ans, axis)
        return g - plain.exp(ans) * g.sum(axis=axis, keepdims=True) if d is None else d

    return pull


def _pull_log_sum_exp(ans: Any, x: Any, axes: tuple[int, ...]) -> Any:
    finite = np.isfinite(real(ans))
    if finite.all():
        share = plain.exp(x - ans)
    else:
        largest = np.equal(real(x), real(ans))
        equal = largest / np.maximum(largest.sum(axes, keepdims=True), 1)
        share = np.where(finite, plain.exp(x - np.where(finite, ans, 0)), equal.astype(real(ans).dtype))
    return lambda g: g * share


def _batched_cross_entropy(logits: Batched, labels: Any) -> Any:
    likely = log_softmax(logits)
    if labels.dtype.kind == "f":
        parts = likely * labels if labels.shape == logits.shape else refuse()
        return -np.mean(np.sum(parts, axis=-1))
    if labels.shape != logits.shape[:-1]:
        refuse()
    likely = np.reshape(likely, (-1, logits.shape[-1]))
    return -np.mean(likely[np.arange(len(likely)), np.reshape(labels, -1)])


def _cross_entropy_of(logits: Any, labels: Any) -> Any:
    return saving_cross_entropy(logits, labels)[0]


def saving_cross_entropy(logits: Any, labels: Any) -> tuple[Any, Any]:
    """Return the loss and its gradient by the logits, which shares most of the work."""
    z = plain.floats(logits)
    d = door.new_like(z)
    labels = np.asarray(labels, z.dtype if labels.dtype.kind == "f" else np.int64, order="C")
    loss = door.cross_entropy(z, None, labels, d, None)
    return z.dtype.type(loss), d


def _pull_logits(ans: Any, logits: Any, labels: Any, saved: Any) -> Any:
    if saved is not None:
        return lambda g: over(g, saved) * saved
    n = logits.size // logits.shape[-1]
    if labels.dtype.kind != "f":
        labels = np.eye(logits.shape[-1], dtype=logits.dtype)[labels]

    def pull(g: Any) -> Any:
        slope = (softmax(logits) * labels.sum(axis=-1, keepdims=True) - labels) / n
        return over(g, slope) * slope

    return pull


def _pull_labels(ans: Any, logits: Any, labels: Any, saved: Any) -> Any:
    def pull(g: Any) -> Any:
        slope = log_softmax(logits) / -(logits.size // logits.shape[-1])
        return over(g, slope) * slope

    return pull


def over(g: Any, x: Any) -> Any:
    """Return the gradient by a scalar, or a stack of them, ready to be multiplied with ``x``."""
    return g.reshape(g.shape + (1,) * x.ndim) if g.ndim else g


def _squared_error_of(prediction: Any, target: Any) -> Any:
    return _saving_squared_error(prediction, target)[0]


def _saving_squared_error(prediction: Any, target: Any) -> tuple[Any, Any]:
    with underflow_ignored():
        error = np.subtract(prediction, target)
        return np.vdot(error, error) / error.size, error


def _pull_prediction(ans: Any, prediction: Any, target: Any, saved: Any) -> Any:
    error = prediction - target if saved is None else saved
    return lambda g: over(g * (2 / error.size), error) * error


def _pull_target(ans: Any, prediction: Any, target: Any, saved: Any) -> Any:
    error = prediction - target if saved is None else saved
    return lambda g: over(g * (-2 / error.size), error) * error


def _along_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [
        (draw(3),),
        (draw(2, 3),),
        (draw(2, 3), 0),
        (draw(2, 3, 2), 1),
        (draw(2, 3), {"axis": -2}),
        (draw(0, 3),),
    ]


def _sum_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [
        (draw(),),
        (draw(3),),
        (draw(2, 3),),
        (draw(2, 3), 0),
        (draw(2, 3, 2), (0, -1)),
        (draw(2, 3, 2), {"axis": 1, "keepdims": True}),
        (draw(2, 3), -1, draw(3, low=0.5)),
        (draw(2, 3), None, draw(2, 1, low=0.5)),
        (draw(0, 3), 1),
    ]


def _label_examples(draw: Any) -> list[tuple[Any, ...]]:
    integers = np.array([2, 0, 2, 1])
    return [
        (draw(4, 3), integers),
        (draw(3), np.array(1)),
        (draw(2, 2, 3), integers.reshape(2, 2)),
        (draw(4, 3), np.eye(3)[integers]),
        (draw(4, 3), draw(4, 3, low=0.1)),
    ]


def _pair_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [(draw(), draw()), (draw(3), draw(3)), (draw(2, 3), draw(2, 3)), (draw(2, 3), np.ones((2, 3)))]


_softmax = row(softmax, _pull_softmax, forward=_softmax_of, stacks=True, examples=_along_examples)
_log_softmax = row(log_softmax, _pull_log_softmax, forward=_log_softmax_of, stacks=True, examples=_along_examples)
_log_sum_exp: Gate = Gate("gd.logsumexp", plain.log_sum_exp, (_pull_log_sum_exp,), stacks=True)
TABLE.append(Row(logsumexp, _sum_examples, logsumexp))
_cross_entropy = row(
    softmax_cross_entropy,
    _pull_logits,
    _pull_labels,
    forward=_cross_entropy_of,
    saving=saving_cross_entropy,
    stacks=True,
    examples=_label_examples,
)
_of_classes, _softmax_cross_entropy = CrossEntropy(_cross_entropy), fused(_cross_entropy)
_squared_error = fused(
    row(
        squared_error,
        _pull_prediction,
        _pull_target,
        forward=_squared_error_of,
        saving=_saving_squared_error,
        stacks=True,
        examples=_pair_examples,
    )
)
