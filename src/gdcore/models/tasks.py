"""What the outputs of a network mean: their loss, its gradient by hand, and what is made of them.

- ``"regression"``: the outputs predict ``y``, float (n,) for one target or (n, k) for several; the loss is the mean
  over the samples of the squared error, ``sum((outputs - y)^2) / n``;
- ``"binary"``: one output a sample, the logit of class 1; ``y`` (n,) holds 0 and 1, or probabilities; the loss is
  the mean of ``log(1 + exp(z)) - z y``;
- ``"classes"``: one logit a class; ``y`` (n,) holds the classes as integers from 0; the loss is the mean of
  ``-log(softmax(z)[y])``.

Samples may have weights, (n,), of mean 1 over all that there are: the loss is then the mean of each sample's own
times its weight. That of a batch is divided by its samples, not by their weights, so that in the mean it is that of
all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..arguments import Array, describe
from ..derivatives import (
    activate,
    activate_back,
    log_softmax,
    sigmoid,
    softmax,
    softmax_cross_entropy,
    softplus,
    squared_error,
)
from ..derivatives import cross_entropy as fused_cross_entropy
from ..metrics import Metric, accuracy, cross_entropy, rmse


@dataclass(frozen=True)
class Task:
    """One task.

    Arguments:
        least, most: how many outputs it takes; ``most`` is None for any number.
        labels: whether ``y`` holds classes: integers, not numbers.
        bounded: whether there is a least and a largest ``y``.
        loss: of outputs and targets, in functions that can be differentiated.
        each: the same of each sample, (n,), whose mean ``loss`` is.
        slope: ``slope(z, b, y, db, room)`` returns the loss of the outputs ``z + b``, of shapes (n, k) and (k,); it
            writes the gradient by them to ``z``, and its sum over the samples to ``db``. ``room`` is like ``z``.
        metrics: what to tell of it beside the loss.
        predictions: what the outputs predict.
        probabilities: of each class, (n, classes); None for a task without classes.
    """

    least: int
    most: int | None
    labels: bool
    bounded: bool
    loss: Callable[[Any, Array], Any]
    each: Callable[[Any, Array], Any]
    slope: Callable[[Array, Array, Array, Array, Array], float]
    metrics: tuple[Callable[[Callable[..., Any]], Metric], ...]
    predictions: Callable[[Array], Array]
    probabilities: Callable[[Array], Array] | None = None

    def weighted_slope(self, z: Array, b: Array, y: Array, db: Array, room: Array, weights: Array) -> float:
        """Do as ``slope`` does, where samples have weights."""
        outputs = z + b
        value = np.vdot(self.each(outputs[:, 0] if z.shape[1] == 1 else outputs, y), weights)
        self.slope(z, b, y, db, room)
        z *= weights[:, np.newaxis]
        activate_back("none", z, None, None, db)
        return float(value / len(y))

    def check_outputs(self, outputs: int) -> None:
        """Raise ValueError unless a network for the task may have so many outputs."""
        if outputs < self.least or (self.most is not None and outputs > self.most):
            raise ValueError(f"sizes: expected {self.most or f'{self.least} or more'} outputs, got {outputs}")

    def targets(self, y: Any, n: int, outputs: int, dtype: np.dtype[Any], *, trusted: bool = False) -> Array:
        """Return the targets of ``n`` samples as the loss takes them: labels as they are, numbers as ``dtype``.

        ``trusted`` leaves the range of labels to ``slope``.

        Raises TypeError or ValueError for an array of another kind or shape, and for a value out of range.
        """
        if not isinstance(y, np.ndarray) or y.dtype.kind not in ("iu" if self.labels else "biuf"):
            raise TypeError(
                f"y: expected {'integers' if self.labels else 'numbers'} in an array, got {describe(y)}"
            )
        shape = (n,) if self.labels or outputs == 1 else (n, outputs)
        if y.shape != shape:
            raise ValueError(f"y: expected shape {shape}, got {describe(y)}")
        if self.bounded and not (trusted and self.labels):
            low, high, most = np.minimum.reduce(y), np.maximum.reduce(y), max(1, outputs - 1)
            if low < 0 or high > most:
                raise ValueError(f"y: expected values from 0 to {most}, got {low} to {high}")
        return y if self.labels else y.astype(dtype, copy=False)


def _squared_loss(outputs: Any, y: Array) -> Any:
    return squared_error(outputs, y) * (outputs.size // len(outputs))


def _squared_each(outputs: Any, y: Array) -> Any:
    squares = np.square(outputs - y)
    return squares if y.ndim == 1 else np.sum(squares, axis=1)


def _squared_slope(z: Array, b: Array, y: Array, db: Array, room: Array) -> float:
    activate("none", z, b, z)
    error = z[:, 0] if y.ndim == 1 else z
    error -= y
    value = np.vdot(error, error) / len(y)
    error *= 2 / len(y)
    activate_back("none", z, None, None, db)
    return float(value)


def _binary_loss(outputs: Any, y: Array) -> Any:
    return np.mean(softplus(outputs) - outputs * y)


def _binary_each(outputs: Any, y: Array) -> Any:
    return softplus(outputs) - outputs * y


def _binary_slope(z: Array, b: Array, y: Array, db: Array, room: Array) -> float:
    activate("none", z, b, z)
    activate("softplus", z, None, room)
    value = (room.sum() - np.vdot(z, y)) / len(y)
    activate("sigmoid", z, None, z)
    z[:, 0] -= y
    z /= len(y)
    activate_back("none", z, None, None, db)
    return float(value)


def _classes_each(outputs: Any, y: Array) -> Any:
    return -log_softmax(outputs)[np.arange(len(y)), y]


def _classes_slope(z: Array, b: Array, y: Array, db: Array, room: Array) -> float:
    try:
        return fused_cross_entropy(z, b, y.astype(np.int64, "C", copy=False), z, db)
    except ValueError:
        k = z.shape[1]
        raise ValueError(f"y: expected values from 0 to {k - 1}, got {y.min()} to {y.max()}") from None


def _binary_predictions(outputs: Array) -> Array:
    return (outputs > 0).astype(np.intp)


def _binary_probabilities(outputs: Array) -> Array:
    # 1 - sigmoid(z) would lose the digits of what is improbable.
    return np.stack([sigmoid(-outputs), sigmoid(outputs)], axis=1)


TASKS: Final[dict[str, Task]] = {
    "regression": Task(
        least=1,
        most=None,
        labels=False,
        bounded=False,
        loss=_squared_loss,
        each=_squared_each,
        slope=_squared_slope,
        metrics=(rmse,),
        predictions=lambda outputs: outputs,
    ),
    "binary": Task(
        least=1,
        most=1,
        labels=False,
        bounded=True,
        loss=_binary_loss,
        each=_binary_each,
        slope=_binary_slope,
        metrics=(accuracy, cross_entropy),
        predictions=_binary_predictions,
        probabilities=_binary_probabilities,
    ),
    "classes": Task(
        least=2,
        most=None,
        labels=True,
        bounded=True,
        loss=softmax_cross_entropy,
        each=_classes_each,
        slope=_classes_slope,
        metrics=(accuracy, cross_entropy),
        predictions=lambda outputs: outputs.argmax(axis=1),
        probabilities=softmax,
    ),
}
