"""The gates of indexing and of selection.

``clip`` passes the gradient at its bounds. An element that an index names twice gets both gradients.
"""

import operator
from inspect import signature
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from .._back import let_index_pull
from .._gate import COMPLEX, Gate, shrink
from .._tape import Pull
from .._traced import Traced, real
from .._usual import Index
from ..joining import array
from ..refusals import refuse_options
from .table import TABLE, Row, derived, of_complex, row

Shape = tuple[int, ...]


# The pull of x[index] scatters: it adds g to zeros at the index. The pull of that is indexing again.


def _put(g: Any, index: Any, shape: Shape, repeated: bool) -> Any:
    """Return zeros of ``shape`` to which ``g`` is added at ``index``, which may name an element more than once."""
    whole = np.zeros(shape, g.dtype)
    if repeated:
        np.add.at(whole, index, g)
    else:
        whole[index] = g
    return whole


def _pull_scatter(ans: Any, g: Any, index: Any, shape: Shape, repeated: bool) -> Pull:
    ndim = len(shape)
    return lambda h: index_stacked(h, index, h.ndim - ndim)


def index_stacked(h: Any, index: tuple[Any, ...], new: int) -> Any:
    """Return ``h[index]`` of each of a stack."""
    if not new or _is_basic(index) or len(index) == 1:
        return h[_stacked(index, new)]
    return np.stack([part[index] for part in h])


scatter = Gate("scatter", _put, (_pull_scatter,), stacks=True, domain=COMPLEX)


def _is_basic(index: Any) -> bool:
    return all(i is None or i is ... or type(i) in {int, slice} or isinstance(i, np.integer) for i in index)


def _pull_index(shape: Shape, ndim: int, index: tuple[Any, ...]) -> Pull:
    if _is_basic(index):
        return lambda g: scatter(g, _stacked(index, g.ndim - ndim), g.shape[: g.ndim - ndim] + shape, False)
    repeated = _may_repeat(index)
    # A lone array at the front keeps its place behind further axes; NumPy moves several that a slice parts.
    together = len(index) == 1

    def pull(g: Any) -> Any:
        new = g.ndim - ndim
        if not new or together:
            return scatter(g, _stacked(index, new), g.shape[:new] + shape, repeated)
        return np.stack([scatter(part, index, shape, repeated) for part in g])

    return pull


def _may_repeat(index: tuple[Any, ...]) -> bool:
    return any(not _is_basic((i,)) and i.dtype.kind != "b" for i in index)


def _stacked(index: tuple[Any, ...], new: int) -> tuple[Any, ...]:
    return (slice(None),) * new + index


def _plain_index(at: Any) -> tuple[tuple[Any, ...], bool]:
    """Return an index as a tuple of integers, slices and arrays, and whether it may name an element twice."""
    parts = at if type(at) is tuple else (at,)
    plain: list[Any] = []
    for part in parts:
        if isinstance(part, list):
            plain.append(np.asarray(part, dtype=None if part else np.intp))
        elif type(part) is Traced:
            raise TypeError(f"index: expected integers, slices or booleans, got a traced {part.dtype} array")
        elif part is ... or (isinstance(part, int | slice | np.integer | None) and not isinstance(part, bool)):
            plain.append(part)
        else:
            plain.append(np.asarray(part))
    index = tuple(plain)
    return index, _may_repeat(index)


index = Index(Gate("indexing", operator.getitem, (), stacks=True), _plain_index)
let_index_pull(_pull_index)


def _index_examples(draw: Any) -> list[tuple[Any, ...]]:
    i, mask = np.array([2, 0, 2]), np.array([True, False, True])
    return [
        (draw(3), 1), (draw(3), slice(1, None)), (draw(2, 3), (0, -1)),
        (draw(2, 3), (slice(None), None, 1)), (draw(2, 3), ...),
        (draw(4), slice(None, None, -2)), (draw(3), i), (draw(3), mask),
        (draw(3, 2), i), (draw(2, 3), (slice(None), i)),
        (draw(3, 3), (i, i)), (draw(3, 2, 3), (i, slice(None), i)),
        (draw(2, 3), np.array([[True, False, True]] * 2)),
        (draw(3), [0, 0]), (draw(3), i[:0]), (draw(0), slice(None)),
        (draw(3), np.array([[0, 1], [1, 0]])), (draw(3), -1),
        (draw(3, 3), (mask, 1)),
    ]  # fmt: skip


TABLE.append(Row(operator.getitem, _index_examples, operator.getitem, index, operator.getitem, index, COMPLEX))


@of_complex(
    np.take,
    examples=lambda draw: [
        (draw(3), [0, 2, 0]),
        (draw(2, 3), [1, 1], 1),
        (draw(2, 3), 4),
        (draw(2, 3), -1, -1),
        (draw(2, 3), np.array([[0, 1]]), {"axis": 0}),
        (draw(3), [-4, 5], {"mode": "wrap"}),
        (draw(2, 3), [[-1, 7]], 1, {"mode": "clip"}),
    ],
)
def _take(a: Any, indices: Any, axis: Any = None, out: None = None, mode: Any = "raise") -> Any:
    if axis is None:
        a, axis = a if a.ndim == 1 else np.ravel(a), 0
    axis, at = normalize_axis_index(axis, a.ndim), np.asarray(indices)
    if mode != "raise":
        at = np.arange(a.shape[axis]).take(at, mode=mode)
    return a[(slice(None),) * axis + (at,)]


@of_complex(
    np.take_along_axis,
    examples=lambda draw: [
        (draw(2, 3), np.array([[0, 2], [1, 1]]), 1),
        (draw(3), np.array([1, 1]), 0),
        (draw(2, 3), np.array([1, 5]), None),
    ],
)
def _take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    if axis is None:
        arr, axis = np.ravel(arr), 0
    grid: list[Any] = list(np.ogrid[tuple(slice(n) for n in arr.shape)])
    grid[axis] = indices
    return arr[tuple(grid)]


@of_complex(
    np.repeat, examples=lambda draw: [(draw(3), 2), (draw(2, 3), 2, 0), (draw(2, 3), [1, 0, 2], 1), (draw(), 3)]
)
def _repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    if axis is None:
        a, axis = np.ravel(a), 0
    return _take(a, np.repeat(np.arange(a.shape[axis]), repeats), axis)


@of_complex(
    np.pad,
    examples=lambda draw: [
        (draw(3), 1),
        (draw(2, 3), ((1, 2), (0, 1))),
        (draw(3), (1, 2), "edge"),
        (draw(2, 3), 1, "reflect"),
        (draw(3), 2, {"constant_values": 3.0}),
        (draw(3), 2, "wrap"),
        (draw(2, 2), ((1, 1), (0, 0)), "symmetric"),
    ],
)
def _pad(array: Any, pad_width: Any, mode: Any = "constant", **options: Any) -> Any:
    places = np.arange(array.size).reshape(array.shape)
    if mode == "constant":
        frame = np.pad(np.zeros(array.shape, array.dtype), pad_width, mode, **options)
        at = np.pad(places, pad_width, constant_values=-1)
        return frame + scatter(np.ravel(array), (at >= 0,), at.shape, False)
    if options.get("reflect_type", "even") != "even":
        raise TypeError(
            f"np.pad: reflect_type: expected 'even' with a traced array, got {options['reflect_type']!r}"
        )
    if mode not in {"edge", "reflect", "symmetric", "wrap"}:
        raise TypeError(
            f"np.pad: mode: expected 'constant', 'edge', 'reflect', 'symmetric' or 'wrap' "
            f"with a traced array, got {mode!r}"
        )
    return np.ravel(array)[np.pad(places, pad_width, mode, **options)]


@of_complex(
    np.sort,
    examples=lambda draw: [
        (draw(4),), (draw(3, 2), 0), (draw(2, 3), {"axis": -1}), (draw(2, 3), None), (draw(0),),
        *([(draw(2, 3), 0, {"descending": True})] if "descending" in signature(np.sort).parameters else []),
    ],
)  # fmt: skip
def _sort(a: Any, axis: Any = -1, kind: Any = None, order: None = None, **options: Any) -> Any:
    return _take_along_axis(a, np.argsort(real(a), axis, kind, **options), axis)


@of_complex(
    np.diagonal,
    examples=lambda draw: [
        (draw(3, 3),),
        (draw(2, 3), 1),
        (draw(3, 2), -1),
        (draw(2, 3, 4), 0, 1, 2),
        (draw(2, 2, 3), {"axis1": 2, "axis2": 0}),
    ],
)
def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    moved = np.moveaxis(a, (axis1, axis2), (-2, -1))
    rows = np.arange(max(0, min(moved.shape[-2] + min(offset, 0), moved.shape[-1] - max(offset, 0))))
    return moved[..., rows - min(offset, 0), rows + max(offset, 0)]


def _pull_trace(ans: Any, x: Any, offset: int, rows: int, columns: int) -> Pull:
    ones = np.eye(x.shape[rows], x.shape[columns], offset, x.dtype)
    ones = ones if rows < columns else ones.T
    ones = np.expand_dims(ones, [a for a in range(min(rows, columns), 0) if a not in {rows, columns}])
    return lambda g: np.expand_dims(g, (rows, columns)) * ones


_trace_gate = Gate("np.trace", np.trace, (_pull_trace,), stacks=True, domain=COMPLEX)


@of_complex(
    np.trace,
    examples=lambda draw: [
        (draw(3, 3),), (draw(2, 3), 1), (draw(2, 3, 3), 0, 1, 2), (draw(2, 4, 3), {"axis1": 2, "axis2": 0}),
    ],
)  # fmt: skip
def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: None = None) -> Any:
    refuse_options("np.trace", {"out": out})
    a = array(a) if dtype is None else array(a).astype(dtype)
    rows, columns = (normalize_axis_index(axis, a.ndim) - a.ndim for axis in (axis1, axis2))
    return _trace_gate(a, offset, rows, columns)


@of_complex(
    np.diag,
    examples=lambda draw: [(draw(3, 3),), (draw(2, 3), 1), (draw(3),), (draw(2), 1), (draw(2), -1), (draw(0),)],
)
def _diag(v: Any, k: int = 0) -> Any:
    if v.ndim == 2:
        return _diagonal(v, k)
    at = np.arange(len(v))
    n = len(v) + abs(k)
    return scatter(v, (at - min(k, 0), at + max(k, 0)), (n, n), False)


def _lower(m: Any, k: int) -> Any:
    return np.tri(m.shape[-2], m.shape[-1], k, bool)


@of_complex(np.triu, examples=lambda draw: [(draw(3, 3),), (draw(2, 3), 1), (draw(2, 3, 3), -1)])
def _triu(m: Any, k: int = 0) -> Any:
    return np.where(_lower(m, k - 1), 0, m)


@of_complex(np.tril, examples=lambda draw: [(draw(3, 3),), (draw(2, 3), 1), (draw(2, 3, 3), -1)])
def _tril(m: Any, k: int = 0) -> Any:
    return np.where(_lower(m, k), m, 0)


# Selection.


def _pull_where_x(ans: Any, condition: Any, x: Any, y: Any) -> Pull:
    pull: Pull = lambda g: np.where(condition, g, 0)  # noqa: E731
    return pull if x.shape == ans.shape else shrink(pull, ans.shape, x.shape)


def _pull_where_y(ans: Any, condition: Any, x: Any, y: Any) -> Pull:
    pull: Pull = lambda g: np.where(condition, 0, g)  # noqa: E731
    return pull if y.shape == ans.shape else shrink(pull, ans.shape, y.shape)


_where_gate = row(
    np.where,
    None,
    _pull_where_x,
    _pull_where_y,
    stacks=True,
    domain=COMPLEX,
    entry=lambda *args: _where(*args),  # noqa: PLW0108  # declared below
    examples=lambda draw: [
        (np.array([True, False, True]), draw(3), draw(3)),
        (np.array([[True], [False]]), draw(3), draw(2, 3)),
        (np.array([True, False]), draw(2), 0),
        (np.array([True, False]), 1.5, draw(2)),
        (np.array(True), draw(), draw(2)),
        (np.zeros(0, bool), draw(0), draw(1)),
    ],
)


def _where(condition: Any, *xy: Any) -> Any:
    condition = np.asarray(real(condition))
    return _where_gate(condition, *xy) if xy else np.where(condition)


def _pull_clip(ans: Any, x: Any, low: Any, high: Any) -> Pull:
    inside = True if low is None else x >= low
    inside = inside if high is None else np.logical_and(inside, x <= high)
    pull: Pull = lambda g: g * inside  # noqa: E731
    return pull if x.shape == ans.shape else shrink(pull, ans.shape, x.shape)


_clip_gate = Gate("np.clip", np.clip, (_pull_clip,), stacks=True)


@derived(
    np.clip,
    examples=lambda draw: [
        (draw(5), -1.0, 1.0),
        (draw(2, 3), None, 0.5),
        (draw(2, 3), -0.5, None),
        (draw(3), np.array([-1.0, 0.0, 1.0]), 1.5),
        *([(draw(5), {"min": -1.0})] if hasattr(np, "unstack") else []),  # since NumPy 2.1
    ],
)
def _clip(a: Any, a_min: Any = None, a_max: Any = None, out: None = None, **bounds: Any) -> Any:
    low, high = (None if x is np._NoValue else x for x in (a_min, a_max))
    low, high = bounds.get("min", low), bounds.get("max", high)
    if type(low) is Traced or type(high) is Traced:
        a = a if low is None else np.maximum(a, low)
        return a if high is None else np.minimum(a, high)
    return _clip_gate(a, low, high, out=out)
