"""Gates over pictures: convolution and pooling.

A convolution is a product of the weights with the windows of some pictures at a time, each window in a column. With
its gradients it is the three derivatives of one form that is linear in the pictures, the weights and the gradient,
so that the pulls of each are the other two.
"""

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from ...arguments import describe
from .._gate import Gate
from .._traced import Traced, real
from ..joining import array
from ..nets import _door as door
from ..nets import plain
from .table import TABLE, Row

Pair = tuple[int, int]


def conv2d(x: Any, w: Any, b: Any = None, *, stride: int | Pair = 1, padding: int | Pair = 0) -> Any:
    """Return the convolution (in fact correlation, as everywhere) of pictures with weights, plus ``b``.

    ``y[n, o, i, j] = b[o] + sum(w[o, c, k, l] * x[n, c, i * stride + k - padding, j * stride + l - padding])`` over
    c, k and l, with zeros outside the picture.

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
    x, w, b = (y if y is None else array(y) for y in (x, w, b))
    steps, around = _pair("stride", stride, 1), _pair("padding", padding, 0)
    _check_pictures(x)
    if w.ndim != 4 or w.shape[1] != x.shape[1] or 0 in w.shape[2:]:
        raise ValueError(f"w: expected shape (outputs, {x.shape[1]}, height, width), got {describe(real(w))}")
    if b is not None and b.shape != w.shape[:1]:
        raise ValueError(f"b: expected shape {w.shape[:1]}, got {describe(real(b))}")
    for name, y in (("w", w), ("b", b)):
        if y is not None and y.dtype != x.dtype:
            raise TypeError(f"{name}: expected {x.dtype} as x, got {describe(real(y))}")
    if any(x.shape[2 + i] + 2 * around[i] < w.shape[2 + i] for i in range(2)):
        raise ValueError(
            f"w: expected a window within the padded picture, got {describe(real(w))} for {describe(real(x))}"
        )
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
    x = array(x)
    _check_pictures(x)
    size = _pair("size", size, 1)
    window = (*x.shape, *size, *(size if stride is None else _pair("stride", stride, 1)), 0, 0)
    if any(x.shape[2 + i] < size[i] for i in range(2)):
        raise ValueError(f"size: expected a window within the picture, got {size} for {describe(real(x))}")
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
        raise ValueError(f"x: expected shape (pictures, channels, rows, columns), got {describe(real(x))}")
    if x.dtype.char not in "fd":
        raise TypeError(f"x: expected float32 or float64, got {describe(real(x))}")


def _places(window: tuple[int, ...]) -> Pair:
    rows, columns, height, width, down, right, top, left = window[2:]
    return (rows + 2 * top - height) // down + 1, (columns + 2 * left - width) // right + 1


CHUNK: Final = 1 << 15
"""Elements of all windows of the pictures that are convolved together: so many stay in a cache."""


class _Pass:
    """A walk over pictures, some at a time, whose windows lie in the columns of a matrix."""

    def __init__(self, window: tuple[int, ...], outputs: int, dtype: Any) -> None:
        high, wide = _places(window)
        self.window = window
        self.places = high * wide
        self.depth = window[1] * window[4] * window[5]
        self.together = max(1, CHUNK // max(1, self.depth * self.places))
        self.outputs = outputs
        self.room: dict[str, Any] = {}
        self.dtype = dtype

    def parts(self) -> Iterator[tuple[slice, int, tuple[int, ...]]]:
        """Yield which pictures, how many, and their windows."""
        for start in range(0, self.window[0], self.together):
            m = min(self.together, self.window[0] - start)
            yield slice(start, start + m), m, (m, *self.window[1:])

    def matrix(self, name: str, rows: int, m: int) -> Any:
        """Return room for a matrix with a column for each place in each of ``m`` pictures; the names share none."""
        if name not in self.room:
            self.room[name] = np.empty(rows * self.places * min(self.together, self.window[0]), self.dtype)
        return self.room[name][: rows * self.places * m].reshape(rows, self.places * m)

    def columns(self, x: Any, m: int, window: tuple[int, ...]) -> Any:
        """Return the windows of ``m`` pictures."""
        turned = np.empty(x.size, x.dtype)
        door.turn(x, None, turned, None, m, math.prod(window[1:4]), 1)
        columns = self.matrix("columns", self.depth, m)
        door.unfold(turned, columns, window)
        return columns


def _forward(x: Any, w: Any, b: Any, steps: Pair, around: Pair) -> Any:
    window = (*x.shape, *w.shape[2:], *steps, *around)
    walk = _Pass(window, w.shape[0], x.dtype)
    x, flat = plain.laid_out(x), w.reshape(w.shape[0], walk.depth)
    b = None if b is None else plain.laid_out(b)
    out = np.empty((window[0], w.shape[0], *_places(window)), x.dtype)
    for part, m, inner in walk.parts():
        y = np.matmul(flat, walk.columns(x[part], m, inner), out=walk.matrix("y", w.shape[0], m))
        door.turn(y, b, out[part], None, w.shape[0] * walk.places, m, walk.places)
    return out


def _backward(g: Any, x: Any, w: Any, window: tuple[int, ...], outputs: int, wanted: set[str]) -> dict[str, Any]:
    """Return the gradients that are wanted, by ``x``, ``w`` and ``b``; what is not needed for them may be None."""
    walk = _Pass(window, outputs, g.dtype)
    g = plain.laid_out(g)
    found: dict[str, Any] = {"b": np.zeros(outputs, g.dtype)}
    if "x" in wanted:
        found["x"], flat = np.empty(window[:4], g.dtype), w.reshape(outputs, walk.depth)
    if "w" in wanted:
        x = plain.laid_out(x)
        found["w"] = np.zeros((walk.depth, outputs), g.dtype)
    for part, m, inner in walk.parts():
        d, sums = walk.matrix("y", outputs, m), np.empty(outputs, g.dtype)
        door.turn(g[part], None, d, sums, m, outputs * walk.places, walk.places)
        found["b"] += sums
        if "w" in wanted:
            found["w"] += walk.columns(x[part], m, inner) @ d.T  # faster than its transpose
        if "x" in wanted:
            columns = np.matmul(flat.T, d, out=walk.matrix("columns", walk.depth, m))
            turned = np.zeros((math.prod(inner[1:4]), m), g.dtype)
            door.fold(columns, turned, inner)
            door.turn(turned, None, found["x"][part], None, len(turned), m, 1)
    if "w" in wanted:
        found["w"] = np.ascontiguousarray(found["w"].T).reshape(outputs, window[1], *window[4:6])
    return found


class _Convolved:
    """What a convolution keeps for its backward pass, of which the ways to its arguments share the work."""

    __slots__ = ("found", "g", "outputs", "w", "wanted", "window", "x")

    def __init__(self, x: Any, w: Any, window: tuple[int, ...]) -> None:
        self.x, self.w, self.window, self.outputs = x, w, window, w.shape[0]
        self.wanted: set[str] = set()
        self.g: Any = None
        self.found: dict[str, Any] = {}

    def take(self, g: Any, name: str) -> Any:
        """Return one of the gradients; the others are left for the calls that follow."""
        if self.g is not g or name not in self.found:
            self.g, self.found = g, _backward(g, self.x, self.w, self.window, self.outputs, self.wanted)
        return self.found.pop(name)


def _saving_conv(x: Any, w: Any, b: Any, steps: Pair, around: Pair) -> tuple[Any, _Convolved]:
    return _forward(x, w, b, steps, around), _Convolved(x, w, (*x.shape, *w.shape[2:], *steps, *around))


def _conv_x(g: Any, w: Any, shape: Any, steps: Pair, around: Pair) -> Any:
    """Return the gradient by the pictures, of the shape."""
    return _backward(g, None, w, (*shape, *w.shape[2:], *steps, *around), w.shape[0], {"x"})["x"]


def _conv_w(x: Any, g: Any, shape: Any, steps: Pair, around: Pair) -> Any:
    """Return the gradient by the weights, of the shape."""
    return _backward(g, x, None, (*x.shape, *shape[2:], *steps, *around), shape[0], {"w"})["w"]


def _pull_conv(name: str, formula: Callable[..., Any]) -> Any:
    """Return a vjp: of what is saved, or by the formula where it is to be differentiated."""

    def vjp(ans: Any, x: Any, w: Any, b: Any, steps: Pair, around: Pair, saved: _Convolved | None) -> Any:
        if saved is None:
            return lambda g: formula(g, x, w, steps, around)
        saved.wanted.add(name)
        return lambda g: formula(g, x, w, steps, around) if type(g) is Traced else saved.take(g, name)

    return vjp


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
    "gd.conv2d",
    _forward,
    (
        _pull_conv("x", lambda g, x, w, steps, around: _back_x(g, w, x.shape, steps, around)),
        _pull_conv("w", lambda g, x, w, steps, around: _back_w(x, g, w.shape, steps, around)),
        _pull_conv("b", lambda g, x, w, steps, around: np.sum(g, axis=(0, 2, 3))),
    ),
    saving=_saving_conv,
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

TABLE.extend(
    [
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
)
