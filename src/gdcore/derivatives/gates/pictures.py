"""Gates over pictures: convolution and pooling.

A convolution is one product of the weights with the windows of the pictures, each in a column. With its gradients
it is the three derivatives of one form that is linear in the pictures, the weights and the gradient, so that the
pulls of each are the other two.
"""

import math
import operator
from typing import Any

import numpy as np

from ..gate import Gate
from ..nets import _door as door
from ..nets import plain
from ..traced import Traced, describe, real
from .table import TABLE, Row

Pair = tuple[int, int]


def conv2d(x: Any, w: Any, b: Any = None, *, stride: int | Pair = 1, padding: int | Pair = 0) -> Any:
    """Return the convolution (in fact correlation, as everywhere) of pictures with weights, plus ``b``.

    ``y[n, o, i, j] = b[o] + sum(w[o, c, k, l] * x[n, c, i * stride + k - padding, j * stride + l - padding])`` over
    c, k and l, with zeros outside the picture. For the way back it keeps each window of ``x``.

    Arguments:
        x: (pictures, channels, rows, columns).
        w: (outputs, channels, height, width).
        b: (outputs,), or None for none. All have one dtype.
        stride: an int >= 1, or a pair of them for rows and columns.
        padding: rows and columns of zeros on each side, an int >= 0 or a pair of them.

    Raises TypeError or ValueError for others, and for a window that is larger than the padded picture.

    >>> conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), np.array([0.5]))
    array([[[[4.5, 4.5],
             [4.5, 4.5]]]])
    """
    x, w, b = (y if y is None or type(y) is Traced else np.asarray(y) for y in (x, w, b))
    steps, around = _pair("stride", stride, 1), _pair("padding", padding, 0)
    _check_pictures(x)
    if w.ndim != 4 or w.shape[1] != x.shape[1] or 0 in w.shape[2:]:
        raise ValueError(f"w: expected shape (outputs, {x.shape[1]}, height, width), got {describe(w)}")
    if b is not None and b.shape != w.shape[:1]:
        raise ValueError(f"b: expected shape {w.shape[:1]}, got {describe(b)}")
    for name, y in (("w", w), ("b", b)):
        if y is not None and y.dtype != x.dtype:
            raise TypeError(f"{name}: expected {x.dtype} as x, got {describe(y)}")
    if any(x.shape[2 + i] + 2 * around[i] < w.shape[2 + i] for i in range(2)):
        raise ValueError(f"w: expected a window within the padded picture, got {describe(w)} for {describe(x)}")
    return _conv(x, w, b, steps, around)


def max_pool2d(x: Any, size: int | Pair, stride: int | Pair | None = None) -> Any:
    """Return the largest element of each window of pictures. Of equal ones the first gets the gradient.

    Arguments:
        x: (pictures, channels, rows, columns).
        size: of the window, an int >= 1, or a pair of them for rows and columns. What is left over at the right
            and at the bottom is not looked at.
        stride: from one window to the next; None is ``size``.

    Raises TypeError or ValueError for others, and for a window that is larger than the picture.

    >>> max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    """
    if type(x) is not Traced:
        x = np.asarray(x)
    _check_pictures(x)
    size = _pair("size", size, 1)
    window = (*x.shape, *size, *(size if stride is None else _pair("stride", stride, 1)), 0, 0)
    if any(x.shape[2 + i] < size[i] for i in range(2)):
        raise ValueError(f"size: expected a window within the picture, got {size} for {describe(x)}")
    return _pool(x, window)


def _pair(name: str, value: Any, least: int) -> Pair:
    said = f"{name}: expected an int >= {least} or a pair of them, got {value!r}"
    try:
        pair = tuple(map(operator.index, value if isinstance(value, tuple | list) else (value, value)))
    except TypeError:
        raise TypeError(said) from None
    if len(pair) != 2 or min(pair) < least:
        raise ValueError(said)
    return pair


def _check_pictures(x: Any) -> None:
    if x.ndim != 4:
        raise ValueError(f"x: expected shape (pictures, channels, rows, columns), got {describe(x)}")
    if x.dtype.char not in "fd":
        raise TypeError(f"x: expected float32 or float64, got {describe(x)}")


def _window(x: Any, w: Any, steps: Pair, around: Pair) -> tuple[int, ...]:
    return (*x, *w[2:], *steps, *around)


def _places(window: tuple[int, ...]) -> Pair:
    rows, columns, height, width, down, right, top, left = window[2:]
    return (rows + 2 * top - height) // down + 1, (columns + 2 * left - width) // right + 1


class _Columns:
    """The windows of pictures, and the gradient as it is multiplied with them: (outputs, pictures * places)."""

    __slots__ = ("bias", "columns", "d", "g", "shape", "window")

    def __init__(self, x: Any, window: tuple[int, ...], outputs: int) -> None:
        high, wide = _places(window)
        self.window = window
        self.shape = (window[0], outputs, high, wide)
        self.columns = np.empty((window[1] * window[4] * window[5], window[0] * high * wide), x.dtype)
        door.unfold(plain.laid_out(x), self.columns, window)
        self.g: Any = None

    def turned(self, g: Any) -> Any:
        if self.g is not g:
            self.g = g
            self.d, self.bias = _turned(g)
        return self.d


def _turned(g: Any) -> tuple[Any, Any]:
    """Return the gradient as (outputs, pictures * places), and its sums by outputs."""
    pictures, outputs, high, wide = g.shape
    d, sums = np.empty((outputs, pictures * high * wide), g.dtype), np.empty(outputs, g.dtype)
    door.swap_planes(plain.laid_out(g), None, d, sums, pictures, outputs, high * wide)
    return d, sums


def _saving_conv(x: Any, w: Any, b: Any, steps: Pair, around: Pair) -> tuple[Any, _Columns]:
    saved = _Columns(x, _window(x.shape, w.shape, steps, around), w.shape[0])
    y = _by_outputs(w) @ saved.columns
    out = np.empty(saved.shape, x.dtype)
    pictures, outputs, high, wide = saved.shape
    door.swap_planes(y, None if b is None else plain.laid_out(b), out, None, outputs, pictures, high * wide)
    return out, saved


def _by_outputs(w: Any) -> Any:
    return w.reshape(w.shape[0], math.prod(w.shape[1:]))


def _by_pictures(d: Any, w: Any, window: tuple[int, ...]) -> Any:
    x = np.zeros(window[:4], d.dtype)
    door.fold(_by_outputs(w).T @ d, x, window)
    return x


def _conv_x(g: Any, w: Any, shape: Any, steps: Pair, around: Pair) -> Any:
    """Return the gradient by the pictures, of the shape."""
    return _by_pictures(_turned(g)[0], w, _window(shape, w.shape, steps, around))


def _conv_w(x: Any, g: Any, shape: Any, steps: Pair, around: Pair) -> Any:
    """Return the gradient by the weights, of the shape."""
    saved = _Columns(x, _window(x.shape, shape, steps, around), shape[0])
    return (_turned(g)[0] @ saved.columns.T).reshape(shape)


def _pull_x(ans: Any, x: Any, w: Any, b: Any, steps: Pair, around: Pair, saved: _Columns | None) -> Any:
    shape = x.shape

    def pull(g: Any) -> Any:
        if saved is None or type(g) is Traced:
            return _back_x(g, w, shape, steps, around)
        return _by_pictures(saved.turned(g), w, saved.window)

    return pull


def _pull_w(ans: Any, x: Any, w: Any, b: Any, steps: Pair, around: Pair, saved: _Columns | None) -> Any:
    shape = w.shape

    def pull(g: Any) -> Any:
        if saved is None or type(g) is Traced:
            return _back_w(x, g, shape, steps, around)
        return (saved.turned(g) @ saved.columns.T).reshape(shape)

    return pull


def _pull_b(ans: Any, x: Any, w: Any, b: Any, steps: Pair, around: Pair, saved: _Columns | None) -> Any:
    def pull(g: Any) -> Any:
        if saved is None or type(g) is Traced:
            return np.sum(g, axis=(0, 2, 3))
        saved.turned(g)
        return saved.bias.copy()

    return pull


def _saving_pool(x: Any, window: tuple[int, ...]) -> tuple[Any, Any]:
    out = np.empty((*x.shape[:2], *_places(window)), x.dtype)
    at = np.empty(out.shape, np.int64)
    door.max_pool(plain.laid_out(x), out, at, window)
    return out, at


def _pull_pool(ans: Any, x: Any, window: tuple[int, ...], saved: Any) -> Any:
    at = _saving_pool(real(x), window)[1] if saved is None else saved
    return lambda g: _unpool(g, at, window)


def _spread(g: Any, at: Any, window: tuple[int, ...]) -> Any:
    x = np.zeros(window[:4], g.dtype)
    door.max_pool_back(plain.laid_out(g), at, x, window)
    return x


def _pull_spread(ans: Any, g: Any, at: Any, window: tuple[int, ...]) -> Any:
    planes = np.arange(window[0] * window[1]).reshape(window[0], window[1], 1, 1) * (window[2] * window[3])
    return lambda h: h.reshape(-1)[planes + at]


def _conv_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [
        (draw(2, 1, 3, 4), draw(1, 1, 2, 2)),
        (draw(2, 2, 4, 3), draw(3, 2, 2, 3), draw(3), {"padding": 1}),
        (draw(1, 2, 5, 4), draw(2, 2, 3, 1), draw(2), {"stride": (2, 1), "padding": (1, 2)}),
        (draw(1, 1, 2, 2), draw(1, 1, 1, 1), None, {"stride": 2}),
        (draw(0, 1, 3, 3), draw(2, 1, 2, 2), draw(2)),
    ]


_conv: Gate = Gate(
    "gd.conv2d", lambda *args: _saving_conv(*args)[0], (_pull_x, _pull_w, _pull_b), saving=_saving_conv
)
_back_x: Gate = Gate(
    "gradient of gd.conv2d by x",
    _conv_x,
    (
        lambda ans, g, w, shape, steps, around: lambda v: _conv(v, w, None, steps, around),
        lambda ans, g, w, shape, steps, around: lambda v: _back_w(v, g, w.shape, steps, around),
    ),
)
_back_w: Gate = Gate(
    "gradient of gd.conv2d by w",
    _conv_w,
    (
        lambda ans, x, g, shape, steps, around: lambda v: _back_x(g, v, x.shape, steps, around),
        lambda ans, x, g, shape, steps, around: lambda v: _conv(x, v, None, steps, around),
    ),
)
_pool: Gate = Gate("gd.max_pool2d", lambda *args: _saving_pool(*args)[0], (_pull_pool,), saving=_saving_pool)
_unpool: Gate = Gate("gradient of gd.max_pool2d", _spread, (_pull_spread,))

TABLE += [
    Row(conv2d, _conv_examples, conv2d),
    Row(
        max_pool2d,
        lambda draw: [
            (draw(2, 2, 4, 4), 2),
            (draw(1, 1, 5, 4), (3, 2), (1, 2)),
            (draw(1, 2, 3, 3), 2, 1),
            (draw(0, 1, 2, 2), 2),
        ],
        max_pool2d,
    ),
]
