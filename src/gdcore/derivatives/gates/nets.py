"""The gates of a net, which NumPy has no function for: numerically stable, and fused.

At 0, ``relu`` has the gradient 0.
"""

from typing import Any, Final

import numpy as np

from ...arguments import describe
from .._gate import Gate, fused
from .._tape import underflow_ignored
from .._traced import Traced, real
from .._usual import Elementwise
from .arithmetic import masked
from .table import TABLE, Row, row, usual_unary


def relu(x: Any) -> Any:
    """Return ``max(x, 0)`` of each element; its gradient at 0 is 0.

    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    return _relu(x) if type(x) is Traced else np.maximum(x, 0)


def sigmoid(x: Any) -> Any:
    """Return ``1 / (1 + exp(-x))`` of each element; no ``x`` overflows.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    return _sigmoid(x) if type(x) is Traced else _saving_sigmoid(x, slope=False)[0]


def softplus(x: Any) -> Any:
    """Return ``log(1 + exp(x))`` of each element; no ``x`` overflows.

    >>> softplus(np.array([-1000.0, 1000.0]))
    array([   0., 1000.])
    """
    if type(x) is Traced:
        return _softplus(x)
    with underflow_ignored():
        return np.logaddexp(x, 0)


def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent of each element, as ``np.tanh``.

    >>> tanh(np.array([0.0, 1000.0]))
    array([0., 1.])
    """
    return np.tanh(x)


def softmax(x: Any, axis: int = -1) -> Any:
    """Return ``exp(x) / sum(exp(x))`` along ``axis``; no ``x`` overflows.

    >>> softmax(np.array([0.0, 1000.0]))
    array([0., 1.])
    """
    return _softmax(x, axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """Return ``x - log(sum(exp(x)))`` along ``axis``; no ``x`` overflows.

    >>> log_softmax(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """
    return _log_softmax(x, axis)


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
    if kind == "i" and np.minimum.reduce(labels, None) < 0:
        raise ValueError(f"labels: expected classes from 0 to {shape[-1] - 1}, got {labels.min()}")
    return _softmax_cross_entropy(logits, labels)


def squared_error(prediction: Any, target: Any) -> Any:
    """Return the mean over all elements of ``(prediction - target)^2``; there is no factor 1/2.

    Both have the same shape, with at least one element: a ValueError otherwise, as arrays of shapes (n, 1) and (n,)
    would be broadcast to (n, n).

    >>> squared_error(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    np.float64(2.0)
    """
    if np.shape(prediction) != np.shape(target):
        raise ValueError(f"target: expected {describe(real(prediction))}, got {describe(real(target))}")
    if np.size(prediction) == 0:
        raise ValueError(f"prediction: expected at least one element, got shape {np.shape(prediction)}")
    return _squared_error(prediction, target)


# Where np.seterr has underflow raise, it is ignored here: what is left out is too small to change a result.


def _saving_sigmoid(x: Any, slope: bool = True) -> tuple[Any, Any]:
    with underflow_ignored():
        e = np.exp(-np.abs(x))
        whole = 1 + e
        # Not ans * (1 - ans), as little is left of 1 - ans near 1.
        return np.where(np.less(x, 0), e, 1) / whole, e / (whole * whole) if slope else None


def _pull_sigmoid(ans: Any, x: Any, saved: Any) -> Any:
    return (lambda g: g * _slope(x)) if saved is None else (lambda g: g * saved)


def _slope_of_sigmoid(x: Any) -> Any:
    return _slope(x) if type(x) is Traced else _saving_sigmoid(x)[1]


def _softmax_of(x: Any, axis: int = -1) -> Any:
    with underflow_ignored():
        e = np.exp(x - np.max(x, axis, keepdims=True))
        e /= e.sum(axis, keepdims=True)
        return e


def _log_softmax_of(x: Any, axis: int = -1) -> Any:
    with underflow_ignored():
        z = x - np.max(x, axis, keepdims=True)
        return z - np.log(np.exp(z).sum(axis, keepdims=True))


def _pull_softmax(ans: Any, x: Any, axis: int = -1) -> Any:
    axis = axis - ans.ndim if axis >= 0 else axis
    return lambda g: ans * (g - (g * ans).sum(axis=axis, keepdims=True))


def _pull_log_softmax(ans: Any, x: Any, axis: int = -1) -> Any:
    axis = axis - ans.ndim if axis >= 0 else axis
    return lambda g: g - np.exp(ans) * g.sum(axis=axis, keepdims=True)


FEW_CLASSES: Final = 64
"""NumPy reduces many rows at once several times faster than many short rows: so few classes are worth a copy."""


def _cross_entropy_of(logits: Any, labels: Any) -> Any:
    return saving_cross_entropy(logits, labels, slope=False)[0]


def saving_cross_entropy(logits: Any, labels: Any, slope: bool = True) -> tuple[Any, Any]:
    """Return the loss and its gradient by the logits, which shares most of the work."""
    with underflow_ignored():
        return _cross_entropy_and_slope(logits, labels, slope)


def _cross_entropy_and_slope(logits: Any, labels: Any, slope: bool) -> tuple[Any, Any]:
    shape = logits.shape
    k = shape[-1]
    z = logits.reshape(-1, k).T  # (k, n)
    n = z.shape[1]
    if k <= FEW_CLASSES:
        z = z.copy()
    z = z - np.maximum.reduce(z, 0)
    e = np.exp(z)
    total = np.add.reduce(e, 0)
    if labels.dtype.kind == "f":
        weights = labels.reshape(-1, k).T.astype(z.dtype, copy=False)
        mass = np.add.reduce(weights, 0)
        with np.errstate(invalid="ignore"):
            meant = (weights * z).sum()
        if np.isnan(meant):  # 0 * -inf, of a class that is not meant
            meant = np.where(weights == 0, 0, weights * np.where(weights == 0, 0, z)).sum()
        loss = (np.log(total) @ mass - meant) / n
        return loss, ((e * (mass / total) - weights) / n).T.reshape(shape) if slope else None
    at = labels.reshape(-1), np.arange(n)
    try:
        picked = z[at]
    except IndexError:
        raise ValueError(f"labels: expected classes from 0 to {k - 1}, got {labels.max()}") from None
    loss = np.add.reduce(np.log(total) - picked) / n
    if not slope:
        return loss, None
    e /= total
    e[at] -= 1
    e /= n
    return loss, e.T.reshape(shape)


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


_relu = Elementwise(Gate("gd.relu", relu, (lambda ans, x: lambda g: masked(g, ans > 0),), stacks=True), relu)
_sigmoid = Elementwise(Gate("gd.sigmoid", sigmoid, (_pull_sigmoid,), saving=_saving_sigmoid, stacks=True), sigmoid)
_slope = Elementwise(
    Gate(
        "the slope of gd.sigmoid",
        _slope_of_sigmoid,
        (lambda ans, x: lambda g: g * (-ans * np.tanh(x / 2)),),
        stacks=True,
    ),
    _slope_of_sigmoid,
)
_softplus = Elementwise(
    Gate("gd.softplus", softplus, (lambda ans, x: lambda g: g * sigmoid(x),), stacks=True), softplus
)
for _function in (relu, sigmoid, softplus, tanh):
    TABLE.append(Row(_function, usual_unary(-2.0, 2.0), _function))

_softmax = row(softmax, _pull_softmax, forward=_softmax_of, stacks=True, examples=_along_examples)
_log_softmax = row(log_softmax, _pull_log_softmax, forward=_log_softmax_of, stacks=True, examples=_along_examples)
_softmax_cross_entropy = fused(
    row(
        softmax_cross_entropy,
        _pull_logits,
        _pull_labels,
        forward=_cross_entropy_of,
        saving=saving_cross_entropy,
        stacks=True,
        examples=_label_examples,
    )
)
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
