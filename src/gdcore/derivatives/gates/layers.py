"""Layers of nets as gates: dense, layer norm, dropout, embedding.

Where a derivative is to be differentiated, a layer is computed in the gates that it is made of.
"""

from typing import Any

import numpy as np

from ...arguments import describe
from .._gate import Gate, leave_node
from .._layers import Dense
from .._traced import Traced, real
from ..batched import Batched
from ..joining import array
from ..lookups import is_by_rows
from ..nets import _door as door
from ..nets import plain
from .activations import ACTIVATIONS, BY_RESULT, IN_LAYERS, SLOPES, layer
from .table import TABLE, Row


def dense(x: Any, w: Any, b: Any = None, activation: str | None = None) -> Any:
    """Return ``activation(x @ w + b)``, in one pass over the product.

    Arguments:
        x: (..., n), one sample a row.
        w: (n, m).
        b: (m,), or None for none.
        activation: ``"relu"``, ``"tanh"``, ``"sigmoid"``, ``"softplus"``, ``"gelu"`` or ``"silu"``, which is the
            gate of that name; or None. The slope of its sigmoid ``h`` is ``h * (1 - h)``.

    Raises TypeError or ValueError for other shapes and activations.

    >>> dense(np.array([[1.0, 2.0]]), np.array([[1.0], [-1.0]]), np.array([0.5]), "relu")
    array([[0.]])
    """
    if activation is not None and (not isinstance(activation, str) or activation not in ACTIVATIONS):
        error = ValueError if isinstance(activation, str) else TypeError
        raise error(f"activation: expected one of {', '.join(map(repr, ACTIVATIONS))} or None, got {activation!r}")
    if Batched in {type(x), type(w), type(b)}:
        return layer(x, w, b, activation)
    if (made := _dense_of_matrices(x, w, b, activation)) is not None:
        return made
    tape, (a, m, c) = _taken_apart(x, w, b)
    if m.ndim != 2:
        raise ValueError(f"w: expected shape (n, m), got {describe(real(w))}")
    shape = m.shape
    if not a.ndim or a.shape[-1] != shape[0]:
        raise ValueError(f"x: expected shape (..., {shape[0]}), got {describe(real(a))}")
    if c is not None and c.shape != shape[1:]:
        raise ValueError(f"b: expected shape {shape[1:]}, got {describe(real(c))}")
    if tape is not False:
        return _fused(_dense, tape, (x, w, b), (a, m, c, activation))
    return layer(array(x), array(w), b if b is None else array(b), activation)


def layer_norm(x: Any, gain: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Return ``(x - mean) / sqrt(variance + eps) * gain + bias``, with mean and variance along the last axis.

    Arguments:
        x: (..., n), n >= 1.
        gain: (n,), or None for 1.
        bias: (n,), or None for 0.
        eps: a number > 0. The variance is divided by n.

    Raises ValueError for other shapes.

    >>> layer_norm(np.array([[1.0, 3.0]])).round(4)
    array([[-1.,  1.]])

    Source: Ba, Kiros, Hinton, "Layer normalization", 2016.
    """
    tape, values = _taken_apart(x, gain, bias)
    shape = values[0].shape
    if not shape or not shape[-1]:
        raise ValueError(f"x: expected shape (..., n) with n >= 1, got {describe(values[0])}")
    for name, y in zip(("gain", "bias"), values[1:], strict=True):
        if y is not None and y.shape != shape[-1:]:
            raise ValueError(f"{name}: expected shape {shape[-1:]}, got {describe(real(y))}")
    if tape is not False:
        return _fused(_layer_norm, tape, (x, gain, bias), (*values, eps))
    z = x - np.mean(x, axis=-1, keepdims=True)
    z = z / np.sqrt(np.mean(z * z, axis=-1, keepdims=True) + eps)
    z = z if gain is None else z * gain
    return z if bias is None else z + bias


def dropout(x: Any, rate: float, rng: np.random.Generator) -> Any:
    """Return ``x / (1 - rate)`` with elements dropped: each is 0 with the probability ``rate``.

    The elements stay for which ``rng.random(x.shape, np.float32) >= rate``; that is all that is drawn, and nothing
    at a rate of 0. Leave it out when the net is not trained.

    Arguments:
        x: an array of real numbers.
        rate: a number >= 0 and < 1.
        rng: a numpy.random.Generator.

    Raises TypeError or ValueError for others.

    >>> dropout(np.ones(6), 0.5, np.random.default_rng(0))
    array([2., 2., 2., 0., 0., 0.])

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.
    """
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng: expected a numpy.random.Generator, got {rng!r} of type {type(rng).__name__}")
    if not isinstance(rate, int | float | np.floating | np.integer) or isinstance(rate, bool):
        raise TypeError(f"rate: expected a number, got {rate!r} of type {type(rate).__name__}")
    if not 0 <= rate < 1:
        raise ValueError(f"rate: expected a number >= 0 and < 1, got {rate!r}")
    x = array(x)
    u = rng.random(x.shape, np.float32) if rate else np.zeros(x.shape, np.float32)
    return _dropout(x, u, float(rate))


def embedding(table: Any, index: Any) -> Any:
    """Return the rows of ``table`` that ``index`` names; the gradient is added up row by row.

    Arguments:
        table: (rows, n).
        index: integers from 0 to rows - 1, of any shape.

    Raises TypeError or ValueError for others.

    >>> embedding(np.array([[1.0, 2.0], [3.0, 4.0]]), [1, 1, 0])
    array([[3., 4.],
           [3., 4.],
           [1., 2.]])
    """
    table = array(table)
    index = np.asarray(index)
    if table.ndim != 2:
        raise ValueError(f"table: expected shape (rows, n), got {describe(real(table))}")
    if index.dtype.kind not in "iu":
        raise TypeError(f"index: expected integers, got {describe(real(index))}")
    if index.size and not 0 <= index.min() <= index.max() < table.shape[0]:
        raise ValueError(f"index: expected rows from 0 to {table.shape[0] - 1}, got {index.min()} to {index.max()}")
    return table[index] if is_by_rows(table) else _embedding(table, index.astype(np.int64, "C", copy=False))


def _taken_apart(*args: Any) -> tuple[Any, list[Any]]:
    """Return the values of arguments and their tape, or None for none.

    In place of the tape there is False where there are several, as where a derivative is to be differentiated, or
    where the values are not of one dtype that kernels take.
    """
    tape: Any = None
    char = ""
    values: list[Any] = []
    for x in args:
        value = x
        if type(x) is Traced:
            value = x.value
            if tape is None:
                tape = x.tape
            elif tape is not x.tape:
                tape = False
        elif x is None:
            values.append(None)
            continue
        if type(value) is not np.ndarray:
            if type(value) is Traced:
                tape = False
            else:
                value = np.asarray(value)
        values.append(value)
        this = value.dtype.char
        if this != char:
            if char or this not in "fd":
                tape = False
            char = this
    return tape, values


def _fused(gate: Gate, tape: Any, args: tuple[Any, ...], values: tuple[Any, ...]) -> Any:
    """Return what a gate that saves gives, with a node on the tape, if there is one."""
    assert gate.saving is not None
    ans, saved = gate.saving(*values)
    if tape is None:
        return ans
    links = []
    for x, vjp in zip(args, gate.vjps, strict=True):
        if type(x) is Traced:
            assert vjp is not None
            links.append((x.node, vjp(ans, *values, saved=saved)))
    return leave_node(tape, gate, ans, tuple(links))


def _beyond(g: Any, ans: Any) -> Any:
    """Return the axes of a gradient, perhaps stacked, but those in front and the last: to sum over."""
    return tuple(range(g.ndim - ans.ndim, g.ndim - 1))


class _Dense:
    """What a dense layer keeps for its backward pass, of which the ways to its arguments share the work."""

    __slots__ = ("ans", "b", "bias", "d", "g", "kept", "kind")

    def __init__(self, kind: str, ans: Any, kept: Any, b: Any) -> None:
        self.kind, self.ans, self.kept, self.b = kind, ans, kept, b
        self.g: Any = None
        self.d: Any = None
        self.bias: Any = None

    def sums(self, g: Any) -> Any:
        """Return the gradient by ``x @ w + b``; that by ``b`` is left in ``bias``, for one call of ``total``."""
        if type(g) is not np.ndarray or g.shape != self.ans.shape:
            if self.kind == "none":
                return g
            s = self.kept if self.kind not in BY_RESULT else None
            return SLOPES[self.kind](g, self.ans, s)
        if self.g is not g:
            self.g, z = g, plain.laid_out(g)
            self.d = z if self.kind == "none" else door.new_like(z)
            self.bias = None if self.b is None else np.empty(self.b.shape, z.dtype)
            door.activate_back(self.kind, z, self.kept, self.d, self.bias)
        return self.d

    def total(self, g: Any) -> Any:
        """Return the gradient by ``b``."""
        d = self.sums(g)
        if d is self.d and self.bias is not None:
            bias, self.bias = self.bias, None
            return bias
        return np.sum(d, axis=_beyond(d, self.ans))


def _saving_dense(x: Any, w: Any, b: Any, activation: str | None) -> tuple[Any, _Dense]:
    kind = activation or "none"
    z = x @ w
    if kind == "none" or kind in BY_RESULT:
        h, kept = z, z
    else:
        h, kept = door.new_like(z), z
    door.activate(kind, z, None if b is None else plain.laid_out(b), h)
    return h, _Dense(kind, h, kept, b)


def _pull_dense_x(ans: Any, x: Any, w: Any, b: Any, activation: Any, saved: _Dense) -> Any:
    return lambda g: saved.sums(g) @ w.T


def _pull_dense_w(ans: Any, x: Any, w: Any, b: Any, activation: Any, saved: _Dense) -> Any:
    rows = x.reshape(-1, x.shape[-1])
    ndim, shape = ans.ndim, (len(rows), w.shape[1])

    def pull(g: Any) -> Any:
        d = saved.sums(g)
        return rows.T @ d.reshape(d.shape[: d.ndim - ndim] + shape)

    return pull


def _pull_dense_b(ans: Any, x: Any, w: Any, b: Any, activation: Any, saved: _Dense) -> Any:
    return saved.total


class _Norm:
    """What a layer norm keeps for its backward pass."""

    __slots__ = ("dbias", "dgain", "dx", "g", "gain", "mean", "scale", "x")

    def __init__(self, x: Any, gain: Any, mean: Any, scale: Any) -> None:
        self.x, self.gain, self.mean, self.scale = x, gain, mean, scale
        self.g: Any = None
        self.dx: Any = None
        self.dgain: Any = None
        self.dbias: Any = None

    def take(self, g: Any, name: str) -> Any:
        """Return one of the gradients; the others are left for the calls that follow."""
        if type(g) is not np.ndarray or g.shape != self.x.shape:
            return self.formula(g, name)
        if self.g is not g or getattr(self, name) is None:
            self.g, z = g, plain.laid_out(g)
            self.dx, room = door.new_like(z), door.new_like(z)
            self.dgain, self.dbias = (np.empty(z.shape[-1], z.dtype) for _ in range(2))
            door.layer_norm_back(z, self.x, self.gain, self.mean, self.scale, self.dx, room, self.dgain, self.dbias)
        found = getattr(self, name)
        setattr(self, name, None)
        return found

    def formula(self, g: Any, name: str) -> Any:
        """Return it in gates: of a stack, or where it is to be differentiated."""
        scale = self.scale[..., None]
        u = (self.x - self.mean[..., None]) * scale
        if name == "dx":
            d = g if self.gain is None else g * self.gain
            first, second = np.mean(d, axis=-1, keepdims=True), np.mean(d * u, axis=-1, keepdims=True)
            return scale * (d - first - u * second)
        return np.sum(g * u if name == "dgain" else g, axis=_beyond(g, self.x))


def _saving_norm(x: Any, gain: Any, bias: Any, eps: float) -> tuple[Any, _Norm]:
    x = plain.laid_out(x)
    gain, bias = (None if y is None else plain.laid_out(y) for y in (gain, bias))
    out = door.new_like(x)
    mean, scale = (np.empty(x.shape[:-1], x.dtype) for _ in range(2))
    door.layer_norm(x, gain, bias, eps, out, mean, scale)
    return out, _Norm(x, gain, mean, scale)


def _pull_norm(name: str) -> Any:
    return lambda ans, x, gain, bias, eps, saved: lambda g: saved.take(g, name)


def _drop(x: Any, u: Any, rate: float) -> Any:
    z = plain.floats(x)
    out = door.new_like(z)
    door.drop(z, u, rate, 1 / (1 - rate), out)
    return out if out.ndim else out[()]


def _pull_drop(ans: Any, x: Any, u: Any, rate: float) -> Any:
    def pull(g: Any) -> Any:
        if type(g) is np.ndarray and g.shape == u.shape:
            return _drop(g, u, rate)
        return g * np.where(u >= np.float32(rate), 1 / (1 - rate), 0).astype(g.dtype)

    return pull


def _add_rows(g: Any, index: Any, rows: int) -> Any:
    table = np.zeros((rows, g.shape[-1]), g.dtype)
    door.add_rows(plain.laid_out(g), index, table)
    return table


def _dense_examples(draw: Any) -> list[tuple[Any, ...]]:
    x, w, b = draw(4, 3), draw(3, 2), draw(2)
    return [
        (x, w),
        (x, w, b),
        *((x, w, b, name) for name in ACTIVATIONS),
        (x, w, None, "gelu"),
        (draw(3), w, b, "tanh"),
        (draw(2, 2, 3), w, b, "silu"),
        (draw(0, 3), w, b, "relu"),
        (x, np.ones((3, 2), x.dtype), b),
    ]


def _norm_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [
        (draw(4, 3),),
        (draw(4, 3), draw(3), draw(3)),
        (draw(5), draw(5)),
        (draw(2, 2, 3), None, draw(3), 0.1),
        (draw(0, 3), draw(3), draw(3)),
    ]


_dense: Gate = Gate(
    "gd.dense",
    lambda *args: _saving_dense(*args)[0],
    (_pull_dense_x, _pull_dense_w, _pull_dense_b),
    stacks=True,
    saving=_saving_dense,
)
_dense_of_matrices = Dense(_dense, IN_LAYERS)
_layer_norm: Gate = Gate(
    "gd.layer_norm",
    lambda *args: _saving_norm(*args)[0],
    (_pull_norm("dx"), _pull_norm("dgain"), _pull_norm("dbias")),
    stacks=True,
    saving=_saving_norm,
)
_dropout: Gate = Gate("gd.dropout", _drop, (_pull_drop,), stacks=True)
_embedding: Gate = Gate(
    "gd.embedding",
    lambda table, index: table[index],
    (lambda ans, table, index: lambda g: _scatter_rows(g, index, table.shape[0]),),
)
_scatter_rows: Gate = Gate(
    "scatter by rows", _add_rows, (lambda ans, g, index, rows: lambda h: _embedding(h, index),)
)

TABLE.extend(
    [
        Row(dense, _dense_examples, dense),
        Row(layer_norm, _norm_examples, layer_norm),
        Row(
            dropout,
            lambda draw: [(draw(), 0.5), (draw(40), 0.25), (draw(3, 2), 0.0), (draw(0), 0.5)],
            lambda x, rate: dropout(x, rate, np.random.default_rng(0)),
        ),
        Row(
            embedding,
            lambda draw: [
                *((draw(3, 2), np.array(index)) for index in ([2, 0, 2], 1)),
                *((draw(3, k), np.array([[1, 1]], np.uint8)) for k in (2, 0)),
            ],
            embedding,
        ),
    ]
)
