"""What samples weigh: as given one by one, and by their classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..arguments import Array


def balanced(labels: Array, classes: int, weights: Array | None = None) -> Array:
    """Return the weight of each class that lets all classes weigh alike, (classes,); 0 for one of no samples.

    ``labels``, (n,), are integers. Their mean over the samples is 1: ``total / (present * that of the class)``.
    """
    of_class = np.bincount(labels, weights, minlength=classes).astype(np.float64)
    there = of_class > 0
    return np.where(there, of_class.sum() / (there.sum() * np.where(there, of_class, 1.0)), 0.0)


def by_class(asked: Any, classes: Array, labels: Array, weights: Array | None) -> Array | None:
    """Return the weights of samples times those of their classes: ``asked`` is None, "balanced" or a dict.

    As in scikit-learn, a class that the dict lacks weighs 1, and the dict may have classes that no sample has only
    if it has all those that samples have.
    """
    if asked is None:
        return weights
    if isinstance(asked, str) and asked == "balanced":
        factors = balanced(labels, len(classes), weights)
    elif isinstance(asked, Mapping):
        factors = np.ones(len(classes))
        known = {label: index for index, label in enumerate(classes.tolist())}
        for label, factor in asked.items():
            number = isinstance(factor, int | float | np.integer | np.floating) and not isinstance(factor, bool)
            if not (number and 0 <= factor < np.inf):
                raise ValueError(f"class_weight[{label!r}]: expected a finite number >= 0, got {factor!r}")
            if label in known:
                factors[known[label]] = factor
        strange = [label for label in asked if label not in known]
        if strange and any(label not in asked for label in known):
            raise ValueError(
                f"class_weight: expected classes among {', '.join(map(repr, known))}, got {strange[0]!r}"
            )
    else:
        raise ValueError(f'class_weight: expected None, "balanced" or a dict, got {asked!r}')
    each: Array = factors[labels]
    return each if weights is None else each * weights


def of_mean_one(weights: Array) -> Array | None:
    """Return weights, finite and > 0, that have mean 1 and are else in proportion; None where all are alike."""
    if (weights == weights[0]).all():
        return None
    weights = weights / weights.max()
    scaled: Array = weights / weights.mean()
    return scaled


def check_sum(name: str, weights: Array, of: str = "sample", *, first: int = 0) -> None:
    """Raise ValueError unless weights are >= 0 and not all 0; those of ``of`` are counted from ``first``."""
    if not (weights >= 0).all():
        index = int(np.argmin(weights >= 0))
        raise ValueError(f"{name}: expected numbers >= 0, got {weights[index]} for {of} {index + first}")
    if not weights.any():
        raise ValueError(f"{name}: expected a weight > 0, got zeros alone")
