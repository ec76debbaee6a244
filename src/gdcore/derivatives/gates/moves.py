"""The gates of functions that move elements to other places.

Where a function does nothing else, it is NumPy's own function of the elements' numbers that says what goes where.
``partition`` goes in the order of ``np.argpartition``.
"""

from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index
from numpy.lib.stride_tricks import sliding_window_view

from .._traced import real
from ..joining import array
from .indexing import scatter
from .shapes import weighted_parts
from .table import of_complex


def moved(x: Any, move: Any) -> Any:
    """Return what ``move`` gives for ``x``, if it only moves elements, drops or repeats them."""
    return np.ravel(x)[move(np.arange(x.size).reshape(x.shape))]


@of_complex(
    np.roll,
    examples=lambda draw: [
        (draw(4), 1), (draw(4), -5), (draw(2, 3), 2), (draw(2, 3), 1, 0), (draw(2, 3), (1, -1), (0, 1)),
        (draw(0), 1), (draw(2, 3), 1, (0, 1)),
    ],
)  # fmt: skip
def _roll(a: Any, shift: Any, axis: Any = None) -> Any:
    if axis is None:
        return np.reshape(_roll(np.ravel(a), shift, 0), a.shape)
    for by, along in np.broadcast(shift, axis):
        place = normalize_axis_index(int(along), a.ndim)
        cut = -int(by) % max(a.shape[place], 1)
        if cut:
            before = (slice(None),) * place
            a = np.concatenate([a[(*before, slice(cut, None))], a[(*before, slice(None, cut))]], place)
    return a


for _function in (np.fft.fftshift, np.fft.ifftshift):

    @of_complex(_function, examples=lambda draw: [(draw(5),), (draw(2, 3),), (draw(2, 3), 1), (draw(3, 3), (0, 1))])
    def _shift(x: Any, axes: Any = None, *, _function: Any = _function) -> Any:
        return moved(x, lambda at: _function(at, axes))


@of_complex(np.fliplr, examples=lambda draw: [(draw(2, 3),)])
def _fliplr(m: Any) -> Any:
    return np.flip(m, 1)


@of_complex(np.flipud, examples=lambda draw: [(draw(2, 3),), (draw(3),)])
def _flipud(m: Any) -> Any:
    return np.flip(m, 0)


@of_complex(
    np.rot90, examples=lambda draw: [(draw(2, 3),), (draw(2, 3), -1), (draw(2, 3, 2), 2, (1, 2)), (draw(2, 2), 4)]
)
def _rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    first, second = axes
    if k % 4 == 0:
        return m
    if k % 4 == 2:
        return np.flip(m, (first, second))
    return (
        np.swapaxes(np.flip(m, second), first, second)
        if k % 4 == 1
        else np.flip(np.swapaxes(m, first, second), second)
    )


@of_complex(np.rollaxis, examples=lambda draw: [(draw(2, 3, 4), 2), (draw(2, 3, 4), 0, 2)])
def _rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    return np.transpose(a, np.rollaxis(np.empty(tuple(range(a.ndim)), bool), axis, start).shape)


@of_complex(np.resize, examples=lambda draw: [(draw(3), (2, 4)), (draw(2, 3), 4), (draw(2), 0)])
def _resize(a: Any, new_shape: Any) -> Any:
    a = array(a)
    return moved(a, lambda at: np.resize(at, new_shape))


@of_complex(
    np.delete,
    examples=lambda draw: [(draw(4), 1), (draw(4), [0, -1]), (draw(2, 3), slice(0, 2), 1), (draw(2, 3), [1, 4])],
)
def _delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    return moved(arr, lambda at: np.delete(at, obj, axis))


@of_complex(np.compress, examples=lambda draw: [([True, False, True], draw(3)), ([0, 1], draw(2, 3), 0)])
def _compress(condition: Any, a: Any, axis: Any = None, out: None = None) -> Any:
    return moved(array(a), lambda at: np.compress(real(condition), at, axis, out))


@of_complex(np.extract, examples=lambda draw: [([True, False, True], draw(3)), (np.eye(2) > 0, draw(2, 2))])
def _extract(condition: Any, arr: Any) -> Any:
    return moved(array(arr), lambda at: np.extract(real(condition), at))


@of_complex(
    np.trim_zeros,
    examples=lambda draw: [(draw(3),), (draw(2), "b")],
    of=lambda x, *trim: np.trim_zeros(np.concatenate([[0.0, 0.0], x, [0.0]]), *trim),
)
def _trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    if filt.ndim != 1:
        raise TypeError(f"np.trim_zeros: filt: expected one axis with a traced array, got {filt.ndim}")
    kept = np.flatnonzero(real(filt))
    start = (kept[0] if len(kept) else len(filt)) if "f" in trim.lower() else 0
    stop = (kept[-1] + 1 if len(kept) else 0) if "b" in trim.lower() else len(filt)
    return filt[int(start) : int(stop)]


@of_complex(
    sliding_window_view,
    examples=lambda draw: [
        (draw(5), 3), (draw(3, 4), (2, 2)), (draw(3, 4), 2, 1), (draw(3, 4), {"window_shape": 2, "axis": 0}),
    ],
)  # fmt: skip
def _sliding_window_view(x: Any, window_shape: Any, axis: Any = None, **options: Any) -> Any:
    return moved(x, lambda at: sliding_window_view(at, window_shape, axis))


@of_complex(
    np.partition, examples=lambda draw: [(draw(5), 2), (draw(2, 4), [1, 2]), (draw(3, 2), 1, 0), (draw(4), 1, None)]
)
def _partition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: None = None) -> Any:
    if axis is None:
        a, axis = np.ravel(a), 0
    return np.take_along_axis(a, np.argpartition(real(a), kth, axis, kind), axis)


@of_complex(np.diagflat, examples=lambda draw: [(draw(2),), (draw(2, 2), 1), (draw(), -1)])
def _diagflat(v: Any, k: int = 0) -> Any:
    return np.diag(np.ravel(array(v)), k)


# Of several arrays.


@of_complex(np.append, examples=lambda draw: [(draw(3), draw(2)), (draw(2, 3), draw(1, 3), 0), (draw(2), 1.0)])
def _append(arr: Any, values: Any, axis: Any = None) -> Any:
    return np.concatenate([array(arr), array(values)], axis)


@of_complex(
    np.column_stack, examples=lambda draw: [([draw(3), draw(3)],), ([draw(2, 3), draw(2)],), ([draw(), draw()],)]
)
def _column_stack(tup: Any) -> Any:
    columns = map(array, tup)
    return np.concatenate([x if x.ndim >= 2 else np.reshape(x, (-1, 1)) for x in columns], 1)


@of_complex(np.atleast_3d, examples=lambda draw: [(draw(),), (draw(3),), (draw(2, 3),), (draw(2, 1, 2),)])
def _atleast_3d(*arys: Any) -> Any:
    grown = []
    for x in map(array, arys):
        shape = {0: (1, 1, 1), 1: (1, *x.shape, 1), 2: (*x.shape, 1)}.get(x.ndim, x.shape)
        grown.append(np.reshape(x, shape))
    return grown[0] if len(grown) == 1 else tuple(grown)


@of_complex(
    np.dstack, examples=lambda draw: [([draw(3), draw(3)],), ([draw(2, 3), draw(2, 3)],), ([draw(), draw()],)]
)
def _dstack(tup: Any) -> Any:
    return np.concatenate([_atleast_3d(x) for x in tup], 2)


@of_complex(
    np.block,
    examples=lambda draw: [
        ([draw(2), draw(1)],), (draw(2),), ([draw(2, 2), draw(2, 1)],), ([draw(2), 1.0, draw(3)],),
    ],
)  # fmt: skip
def _block(arrays: Any) -> Any:
    depth = _depth(arrays)
    if not depth:
        return array(arrays)
    leaves = _leaves(arrays)
    ndim = max(depth, *(x.ndim for x in leaves))
    return _blocked(arrays, depth, ndim)


def _depth(arrays: Any) -> int:
    return 1 + max(map(_depth, arrays), default=0) if isinstance(arrays, list) else 0


def _leaves(arrays: Any) -> list[Any]:
    return [leaf for part in arrays for leaf in _leaves(part)] if isinstance(arrays, list) else [array(arrays)]


def _blocked(arrays: Any, depth: int, ndim: int) -> Any:
    if not isinstance(arrays, list):
        if depth:
            raise ValueError(f"np.block: arrays: expected lists of one depth, got {depth} fewer")
        x = array(arrays)
        return np.reshape(x, (1,) * (ndim - x.ndim) + x.shape)
    return np.concatenate([_blocked(part, depth - 1, ndim) for part in arrays], -depth)


@of_complex(
    np.insert,
    examples=lambda draw: [
        (draw(3), 1, draw()), (draw(3), [0, 2], draw(2)), (draw(2, 3), 1, draw(3), 0), (draw(2, 3), 1, 5.0, 1),
        (draw(2, 3), [0, 3], draw(2, 1), 1), (draw(2, 2), 3, draw()), (draw(2, 3), slice(0, 2), draw(2, 2), 1),
    ],
)  # fmt: skip
def _insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    arr, values = array(arr), array(values)
    given = np.arange(arr.size, arr.size + values.size).reshape(values.shape)
    at = np.insert(np.arange(arr.size).reshape(arr.shape), obj, given, axis)
    return np.concatenate([np.ravel(arr), np.ravel(values).astype(arr.dtype)])[at]


@of_complex(np.choose, examples=lambda draw: [(np.array([0, 1, 0]), [draw(3), draw(3)]), (1, [draw(2), draw()])])
def _choose(a: Any, choices: Any, out: None = None, mode: Any = "raise") -> Any:
    choices = np.broadcast_arrays(*map(array, choices))
    places = np.arange(len(choices) * choices[0].size).reshape(len(choices), *choices[0].shape)
    return np.ravel(np.stack(choices))[np.choose(real(a), places, out, mode)]


@of_complex(
    np.broadcast_arrays,
    examples=lambda draw: [(draw(3), draw(2, 1)), (draw(), draw(2))],
    of=weighted_parts(np.broadcast_arrays),
)
def _broadcast_arrays(*args: Any, subok: bool = False) -> Any:
    arrays = [*map(array, args)]
    shape = np.broadcast_shapes(*(x.shape for x in arrays))
    return tuple(np.broadcast_to(x, shape) for x in arrays)


@of_complex(
    np.meshgrid,
    examples=lambda draw: [
        (draw(3), draw(2)), (draw(3), draw(2), draw(2), {"indexing": "ij"}), (draw(3), draw(2), {"sparse": True}),
    ],
    of=weighted_parts(np.meshgrid),
)  # fmt: skip
def _meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    if indexing not in {"xy", "ij"}:
        raise ValueError(f"np.meshgrid: indexing: expected 'xy' or 'ij', got {indexing!r}")
    axes = list(range(len(xi)))
    if indexing == "xy" and len(xi) > 1:
        axes[0], axes[1] = 1, 0
    ones = (1,) * len(xi)
    grids = [np.reshape(x, (*ones[:a], -1, *ones[a + 1 :])) for a, x in zip(axes, map(array, xi), strict=True)]
    return tuple(grids) if sparse else _broadcast_arrays(*grids)


@of_complex(
    np.hsplit,
    examples=lambda draw: [(draw(4), 2), (draw(2, 4), [1, 2])],
    of=weighted_parts(np.hsplit),
)
def _hsplit(ary: Any, indices_or_sections: Any) -> Any:
    return np.split(ary, indices_or_sections, 1 if ary.ndim > 1 else 0)


@of_complex(np.vsplit, examples=lambda draw: [(draw(4, 2), 2)], of=weighted_parts(np.vsplit))
def _vsplit(ary: Any, indices_or_sections: Any) -> Any:
    return np.split(ary, indices_or_sections, 0)


@of_complex(np.dsplit, examples=lambda draw: [(draw(2, 1, 4), 2)], of=weighted_parts(np.dsplit))
def _dsplit(ary: Any, indices_or_sections: Any) -> Any:
    return np.split(ary, indices_or_sections, 2)


@of_complex(
    np.select,
    examples=lambda draw: [
        ([np.array([True, False, False]), np.array([True, True, False])], [draw(3), draw(3)], 2.0),
        ([np.array([True, False, False])], [draw(3)]),
    ],
)
def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    if len(condlist) != len(choicelist):
        raise ValueError(
            f"np.select: choicelist: expected one for each of {len(condlist)} conditions, got {len(choicelist)}"
        )
    ans = default
    for condition, choice in zip(condlist[::-1], choicelist[::-1], strict=True):
        ans = np.where(real(condition), array(choice), ans)
    return ans


def _piecewise_examples(draw: Any) -> list[tuple[Any, ...]]:
    x = draw(4)
    return [
        (x, [x > 0, x <= 0], [lambda x: x**2, np.sin]),
        (x, [x > 0], [lambda x, k: k * x, 3.0], 2.0),
        (x, [x > 0, x > -1], [np.exp, np.tanh, np.cos]),
    ]


@of_complex(np.piecewise, examples=_piecewise_examples)
def _piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    conditions = np.asarray(real(condlist), bool)
    if conditions.ndim == x.ndim:
        conditions = conditions[None]
    if len(funclist) not in {len(conditions), len(conditions) + 1}:
        raise ValueError(
            f"np.piecewise: funclist: expected {len(conditions)} or {len(conditions) + 1} functions, "
            f"got {len(funclist)}"
        )
    if len(funclist) > len(conditions):
        conditions = np.concatenate([conditions, ~conditions.any(axis=0, keepdims=True)])
    total: Any = np.zeros(x.shape, x.dtype)
    later = np.zeros(x.shape, bool)
    for condition, function in zip(conditions[::-1], funclist[::-1], strict=True):
        at = condition & ~later  # the last that holds counts
        later |= condition
        if at.any():
            part = function(x[at], *args, **kw) if callable(function) else function
            part = np.broadcast_to(array(part), int(at.sum())).astype(x.dtype)
            total = total + scatter(part, (at,), x.shape, False)
    return total


@of_complex(
    np.apply_along_axis,
    examples=lambda draw: [
        (np.sum, 0, draw(2, 3)), (np.cumsum, 1, draw(2, 3)),
        (lambda x, k: np.outer(x, x) * k, 1, draw(2, 3, 2), 2.0), (lambda x: x[0] ** 2, -1, draw(3)),
    ],
)  # fmt: skip
def _apply_along_axis(func1d: Any, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    rows = np.moveaxis(array(arr), axis, -1)
    before = rows.shape[:-1]
    if not prod(before):
        raise ValueError(f"np.apply_along_axis: arr: expected one row at least, got shape {arr.shape}")
    parts = [array(func1d(rows[at], *args, **kwargs)) for at in np.ndindex(before)]
    ndim, place = parts[0].ndim, axis % arr.ndim
    whole = np.reshape(np.stack(parts), before + parts[0].shape)
    return np.moveaxis(whole, range(len(before), len(before) + ndim), range(place, place + ndim))


@of_complex(
    np.apply_over_axes,
    examples=lambda draw: [(np.sum, draw(2, 3, 2), [0, 2]), (np.cumsum, draw(2, 3), 1)],
)
def _apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    for axis in np.atleast_1d(axes) % a.ndim:
        part = func(a, int(axis))
        a = part if part.ndim == a.ndim else np.expand_dims(part, int(axis))
    return a


@of_complex(
    np.array,
    np.asarray,
    np.asanyarray,
    np.ascontiguousarray,
    examples=lambda draw: [(draw(3),), (draw(2, 2),), (draw(1), {"ndmin": 3})],
    of=lambda x, **options: np.array([x, x * x], like=x, **options),
)
def _array(
    a: Any, dtype: Any = None, *, ndmin: int = 0, copy: Any = None, order: Any = None, subok: Any = None
) -> Any:
    """With ``like=``, a traced value."""
    ans = array(a)
    ans = ans if dtype is None else ans.astype(dtype)
    return np.reshape(ans, (1,) * (ndmin - ans.ndim) + ans.shape)


if hasattr(np, "unstack"):  # since NumPy 2.1

    @of_complex(
        np.unstack, examples=lambda draw: [(draw(2, 3),), (draw(2, 3), {"axis": 1})], of=weighted_parts(np.unstack)
    )
    def _unstack(x: Any, /, *, axis: int = 0) -> Any:
        return tuple(np.moveaxis(x, axis, 0))
