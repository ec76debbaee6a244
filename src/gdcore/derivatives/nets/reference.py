"""The kernels of nets in plain NumPy: what they compute, bit for bit, for the tests to compare.

Each function returns what its namesake in ``_door`` writes. Rows are the last axis.

Sums have an order that depends on nothing but the shape, whatever the vectors and threads. Along a row: ``LANES``
partial sums, one for the elements 0, LANES, 2 LANES ..., one for 1, LANES + 1 ..., and so on, whose upper half is
then added to the lower until one is left. Down columns: blocks of ``BLOCK`` rows, in each one row after the other,
from 0; the sums of the blocks then likewise.
"""

from collections.abc import Callable
from math import prod
from typing import Any, Final

import numpy as np

from . import functions

Array = np.ndarray[Any, Any]

LANES: Final = 16
BLOCK: Final = 64


def in_turn(x: Array) -> Array:
    """Return the sum along the first axis, one after the other, from 0."""
    total = np.zeros(x.shape[1:], x.dtype)
    for part in x:
        total = total + part
    return total


def row_sum(x: Array) -> Array:
    """Return the sum along the last axis, in lanes."""
    turns = -(-x.shape[-1] // LANES)
    padded = np.zeros((*x.shape[:-1], turns * LANES), x.dtype)
    padded[..., : x.shape[-1]] = x
    lanes = in_turn(np.moveaxis(padded.reshape(*x.shape[:-1], turns, LANES), -2, 0))
    while lanes.shape[-1] > 1:
        half = lanes.shape[-1] // 2
        lanes = lanes[..., :half] + lanes[..., half:]
    return lanes[..., 0]


def column_sum(x: Array) -> Array:
    """Return the sum of all rows, in blocks of them."""
    rows, width = prod(x.shape[:-1]), x.shape[-1]
    x = x.reshape(rows, width)
    blocks = [in_turn(x[i : i + BLOCK]) for i in range(0, rows, BLOCK)]
    return in_turn(np.array(blocks, x.dtype).reshape(len(blocks), width))


def _relu(s: Array) -> Array:
    return np.where((s > 0) | np.isnan(s), s, s.dtype.type(0))


ACTIVATIONS: Final[dict[str, Callable[[Array], Array]]] = {
    "none": lambda s: s,
    "relu": _relu,
    "tanh": functions.tanh,
    "sigmoid": functions.sigmoid,
    "logistic": functions.sigmoid,
    "softplus": functions.softplus,
    "gelu": functions.gelu,
    "silu": functions.silu,
}
"""What each activation gives."""

SLOPES: Final[dict[str, Callable[[Array, Array], Array]]] = {
    "none": lambda g, kept: g,
    "relu": lambda g, h: np.where(h > 0, g, g.dtype.type(0)),
    "tanh": lambda g, h: g * (1 - h * h),
    "sigmoid": lambda g, h: g * (h * (1 - h)),
    "logistic": lambda g, s: g * (functions.sigmoid(s) * functions.sigmoid(-s)),
    "softplus": lambda g, s: g * functions.sigmoid(s),
    "gelu": lambda g, s: g * functions.gelu_slope(s),
    "silu": lambda g, s: g * functions.silu_slope(s),
}
"""The gradient by what each was given, ``s``, from that by what it gave, ``h``, and one of the two."""


def activate(kind: str, z: Array, b: Array | None) -> tuple[Array, Array]:
    """Return the sums ``z + b`` and their activation."""
    s = z if b is None else z + b
    return s, ACTIVATIONS[kind](s)


def activate_back(kind: str, g: Array, kept: Array) -> tuple[Array, Array]:
    """Return the gradients by the sums and by the bias."""
    d = SLOPES[kind](g, kept)
    return d, column_sum(d)


def _less_top(z: Array) -> Array:
    result: Array = z - z.max(axis=-1, keepdims=True)
    return result


def cross_entropy(z: Array, b: Array | None, labels: Array) -> tuple[float, Array, Array]:
    """Return the mean of ``-log(softmax(z + b)[labels])``, and the gradients by the sums and by the bias.

    The mean is taken in float64, in blocks as sums of columns are.
    """
    rows = np.arange(len(z))
    z = _less_top(z if b is None else z + b)
    e = functions.exp(z)
    total = row_sum(e)
    part = z.dtype.type(1) / z.dtype.type(len(z))
    d = e * (part / total)[:, None]
    d[rows, labels] -= part
    losses = (functions.log(total) - z[rows, labels]).astype(np.float64)
    return float(column_sum(losses[:, None])[0] / len(z)), d, column_sum(d)


def _sum_of_products(x: Array, y: Array) -> Array:
    return row_sum(np.where(y != 0, x * y, x.dtype.type(0)))


def soft_cross_entropy(z: Array, b: Array | None, y: Array) -> tuple[float, Array, Array]:
    """Return the same for probabilities ``y`` of the classes: the mean of ``-sum(y * log(softmax(z + b)))``."""
    z = _less_top(z if b is None else z + b)
    e = functions.exp(z)
    total, mass = row_sum(e), row_sum(y)
    d = (e * (mass / total)[:, None] - y) * (z.dtype.type(1) / z.dtype.type(len(z)))
    losses = (functions.log(total) * mass - _sum_of_products(z, y)).astype(np.float64)
    return float(column_sum(losses[:, None])[0] / len(z)), d, column_sum(d)


def softmax(z: Array) -> Array:
    """Return ``e^z / sum(e^z)`` of each row."""
    e = functions.exp(_less_top(z))
    return e / row_sum(e)[..., None]


def log_softmax(z: Array) -> Array:
    """Return ``z - log(sum(e^z))`` of each row."""
    z = _less_top(z)
    return z - functions.log(row_sum(functions.exp(z)))[..., None]


def softmax_back(kind: str, g: Array, ans: Array) -> Array:
    """Return the gradient by what gave the softmax ``ans``, or ``"log_softmax"``."""
    d: Array
    if kind == "softmax":
        d = ans * (g - _sum_of_products(g, ans)[..., None])
    else:
        d = g - functions.exp(ans) * row_sum(g)[..., None]
    return d


def log_sum_exp(z: Array) -> Array:
    """Return ``log(sum(e^z))`` of each row; rows of -inf give -inf, and those with inf give inf."""
    top = z.max(axis=-1)
    top = np.where(np.isfinite(top), top, z.dtype.type(0))
    result: Array = functions.log(row_sum(functions.exp(z - top[..., None]))) + top
    return result


def layer_norm(z: Array, gain: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array]:
    """Return rows of mean 0 and variance 1, times ``gain``, plus ``bias``; the means and ``1 / deviation``."""
    n = z.dtype.type(z.shape[-1])
    mean = row_sum(z) / n
    z = z - mean[..., None]
    scale = 1 / np.sqrt(row_sum(z * z) / n + z.dtype.type(eps))
    out = z * scale[..., None]
    out = out if gain is None else out * gain
    return out if bias is None else out + bias, mean, scale


def layer_norm_back(
    g: Array, z: Array, gain: Array | None, mean: Array, scale: Array
) -> tuple[Array, Array, Array]:
    """Return the gradients by ``z``, ``gain`` and ``bias``.

    Source: Ba, Kiros, Hinton, "Layer normalization", 2016.
    """
    n = z.dtype.type(z.shape[-1])
    u = (z - mean[..., None]) * scale[..., None]
    d = g if gain is None else g * gain
    first, second = row_sum(d) / n, row_sum(d * u) / n
    dz = scale[..., None] * ((d - first[..., None]) - u * second[..., None])
    return dz, column_sum(g * u), column_sum(g)


def add_rows(g: Array, index: Array, table: Array) -> Array:
    """Return the table with each row of ``g`` added to the row that ``index`` names."""
    table = table.copy()
    for row, at in zip(g, index, strict=True):
        table[at] = table[at] + row
    return table


def drop(z: Array, u: Array, rate: float, scale: float) -> Array:
    """Return ``z * scale`` where ``u`` is ``rate`` or more, and else 0."""
    result: Array = np.where(u >= np.float32(rate), z * z.dtype.type(scale), z.dtype.type(0))
    return result


Window = tuple[int, ...]
"""Pictures, channels, rows, columns; rows and columns of a window; steps down, right; zeros above, to the left."""


def unfold(z: Array, window: Window) -> Array:
    """Return the windows of (channels, rows, columns, pictures), with height and width before the rows."""
    *_, rows, columns, height, width, down, right, top, left = window
    z = np.pad(z, ((0, 0), (top, top), (left, left), (0, 0)))
    high, wide = (rows + 2 * top - height) // down + 1, (columns + 2 * left - width) // right + 1
    parts = [
        [z[:, i : i + (high - 1) * down + 1 : down, j : j + (wide - 1) * right + 1 : right] for j in range(width)]
        for i in range(height)
    ]
    return np.array(parts).transpose(2, 0, 1, 3, 4, 5)


def fold(columns: Array, window: Window) -> Array:
    """Return pictures of zeros to which each element of the windows is added where ``unfold`` took it from."""
    pictures, channels, rows, size, height, width, down, right, top, left = window
    z = np.zeros((channels, rows + 2 * top, size + 2 * left, pictures), columns.dtype)
    high, wide = columns.shape[3:5]
    for i in range(height):
        for j in range(width):
            to = z[:, i : i + (high - 1) * down + 1 : down, j : j + (wide - 1) * right + 1 : right]
            to += columns[:, i, j]
    return z[:, top : top + rows, left : left + size].copy()


def turn(z: Array, bias: Array | None, group: int) -> tuple[Array, Array]:
    """Return ``z`` turned, plus a bias for each ``group`` rows of it, and the sums of ``group`` rows of that."""
    out = z.T if bias is None else (z + np.repeat(bias, group)[: len(z), None]).T
    count = len(out) // group
    return out, row_sum(out[: count * group].reshape(count, group * len(z)))


def max_pool(z: Array, window: Window) -> tuple[Array, Array]:
    """Return the largest elements of the windows, and where in its plane each is: the first of equals, or NaN."""
    _, _, _, size, height, width, down, right, _, _ = window
    windows = np.lib.stride_tricks.sliding_window_view(z, (height, width), (2, 3))[:, :, ::down, ::right]
    windows = windows.reshape(*windows.shape[:4], height * width)
    at = windows.argmax(axis=-1)
    rows = np.arange(at.shape[2])[:, None] * down + at // width
    columns = np.arange(at.shape[3]) * right + at % width
    return np.take_along_axis(windows, at[..., None], -1)[..., 0], rows * size + columns


def max_pool_back(g: Array, at: Array, window: Window) -> Array:
    """Return pictures of zeros to which ``g`` is added at the places in their planes."""
    pictures, channels, rows, columns = window[:4]
    z = np.zeros((pictures * channels, rows * columns), g.dtype)
    planes = np.repeat(np.arange(len(z)), prod(g.shape[2:]))
    for plane, place, d in zip(planes, at.ravel(), g.ravel(), strict=True):
        z[plane, place] += d
    return z.reshape(pictures, channels, rows, columns)
