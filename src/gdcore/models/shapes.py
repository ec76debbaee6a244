"""What makes a network: sizes, dtype and parameters, checked."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..engine import check_like
from ..trees import Structure, flatten
from .backprop import Params


def one_of(name: str, value: Any, table: Mapping[str, Any]) -> str:
    """Return ``value``, a key of ``table``; raise TypeError or ValueError for any other."""
    if not isinstance(value, str) or value not in table:
        error = ValueError if isinstance(value, str) else TypeError
        raise error(f"{name}: expected one of {', '.join(map(repr, table))}, got {value!r}")
    return value


def checked_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the dtype of a network; raise TypeError or ValueError for what is none."""
    said = f"dtype: expected float32 or float64, got {dtype!r}"
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        raise TypeError(said) from None
    if dtype is None or found not in (np.float32, np.float64):
        raise ValueError(said)
    return found


def checked_sizes(sizes: Any) -> tuple[int, ...]:
    """Return the sizes of layers as a tuple; raise TypeError or ValueError for what are none."""
    said = f"sizes: expected two ints >= 1 or more, got {sizes!r}"
    if not isinstance(sizes, Sequence) or isinstance(sizes, str) or any(isinstance(size, bool) for size in sizes):
        raise TypeError(said)
    try:
        found = tuple(map(operator.index, sizes))
    except TypeError:
        raise TypeError(said) from None
    if len(found) < 2 or min(found) < 1:
        raise ValueError(said)
    return found


def checked_params(params: Any, like: Params) -> Params:
    """Return parameters as two lists; raise TypeError or ValueError unless they are like ``like``."""
    structure = Structure(like, "params")
    for label, array, zeros in zip(
        structure.labels, structure.leaves(params, "params"), flatten(like), strict=True
    ):
        check_like(f"params{label}", array, zeros)
    weights, biases = params
    return list(weights), list(biases)
