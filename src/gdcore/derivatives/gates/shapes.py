"""The gates of shapes, of joining and splitting, and of changing the dtype."""

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from .._gate import COMPLEX, Gate, joining, of_dtype, shrink
from .._tape import Pull
from .._traced import real
from ..joining import array
from .reductions import axes_of
from .table import TABLE, Row, of_complex, row

Shape = tuple[int, ...]


# Shapes: each pull is a reshape or a transposition that leaves further axes in front where they are.


def _pull_reshape(ans: Any, x: Any, shape: Shape) -> Pull:
    ndim, back = ans.ndim, x.shape
    return lambda g: g.reshape(g.shape[: g.ndim - ndim] + back)


_reshape_gate = Gate("np.reshape", np.reshape, (_pull_reshape,), stacks=True, domain=COMPLEX)


@of_complex(
    np.reshape,
    examples=lambda draw: [
        (draw(2, 3), (3, 2)),
        (draw(2, 3), -1),
        (draw(4), (2, -1)),
        (draw(), (1, 1)),
        (draw(0, 2), (2, 0)),
        (draw(2, 3), (3, -1), "F"),
    ],
)
def _reshape(x: Any, shape: Any = None, order: str = "C", *, newshape: Any = None, copy: Any = None) -> Any:
    shape = shape if newshape is None else newshape
    if not _columns_first("np.reshape", x, order):
        return _reshape_gate(x, shape)
    return _transpose(_reshape_gate(_transpose(x), shape[::-1] if isinstance(shape, tuple | list) else shape))


def _columns_first(name: str, x: Any, order: str) -> bool:
    """Return whether elements are counted along the first axis first, as in Fortran."""
    if order == "C":
        return False
    flags = np.asarray(real(x)).flags
    if order not in {"F", "A", "K"} or (order == "K" and not (flags.c_contiguous or flags.f_contiguous)):
        raise TypeError(f"{name}: order: expected 'C', 'F' or 'A' with a traced array, got {order!r}")
    return order == "F" or (flags.f_contiguous and not flags.c_contiguous)


@of_complex(np.ravel, examples=lambda draw: [(draw(2, 3),), (draw(),), (draw(0, 2),), (draw(2, 3), "F")])
def _ravel(x: Any, order: str = "C") -> Any:
    return _reshape_gate(_transpose(x) if _columns_first("np.ravel", x, order) else x, (x.size,))


@of_complex(np.squeeze, examples=lambda draw: [(draw(1, 3, 1),), (draw(1, 3, 1), 0), (draw(1, 3, 1), (0, -1))])
def _squeeze(x: Any, axis: Any = None) -> Any:
    return _reshape_gate(x, np.squeeze(np.empty(x.shape, bool), axis).shape)


@of_complex(np.expand_dims, examples=lambda draw: [(draw(3), 0), (draw(2, 3), (0, -1)), (draw(), 0)])
def _expand_dims(x: Any, axis: Any) -> Any:
    return _reshape_gate(x, np.expand_dims(np.broadcast_to(False, x.shape), axis).shape)


for _function, _ndim in ((np.atleast_1d, 1), (np.atleast_2d, 2)):

    @of_complex(_function, examples=lambda draw: [(draw(),), (draw(3),), (draw(2, 3),)])
    def _atleast(*arrays: Any, _ndim: int = _ndim) -> Any:
        grown = []
        for x in map(array, arrays):
            grown.append(x if x.ndim >= _ndim else _reshape_gate(x, (1,) * (_ndim - x.ndim) + x.shape))
        return grown[0] if len(grown) == 1 else tuple(grown)


def _pull_transpose(ans: Any, x: Any, axes: Any) -> Pull:
    ndim = x.ndim
    back = sorted(range(ndim), key=axes.__getitem__)

    def pull(g: Any) -> Any:
        new = g.ndim - ndim
        return g.transpose((*range(new), *(new + a for a in back)))

    return pull


_transpose_gate = Gate("np.transpose", np.transpose, (_pull_transpose,), stacks=True, domain=COMPLEX)


@of_complex(
    np.transpose,
    examples=lambda draw: [
        (draw(3),),
        (draw(2, 3),),
        (draw(2, 3, 4), (1, 2, 0)),
        (draw(2, 3), (-1, 0)),
        (draw(0, 2),),
    ],
)
def _transpose(x: Any, axes: Any = None) -> Any:
    ndim = x.ndim
    return _transpose_gate(x, tuple(range(ndim))[::-1] if axes is None else tuple(int(a) % ndim for a in axes))


@of_complex(np.swapaxes, examples=lambda draw: [(draw(2, 3, 4), 0, -1), (draw(2, 3), 0, 1)])
def _swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    order = list(range(x.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return _transpose_gate(x, tuple(order))


@of_complex(np.matrix_transpose, examples=lambda draw: [(draw(2, 3),), (draw(2, 3, 4),)])
def _matrix_transpose(x: Any) -> Any:
    return _swapaxes(x, -1, -2)


@of_complex(np.moveaxis, examples=lambda draw: [(draw(2, 3, 4), 0, -1), (draw(2, 3, 4), (0, 1), (2, 0))])
def _moveaxis(x: Any, source: Any, destination: Any) -> Any:
    places = np.moveaxis(np.empty(tuple(range(x.ndim)), bool), source, destination).shape
    return _transpose_gate(x, places)


@of_complex(np.flip, examples=lambda draw: [(draw(3),), (draw(2, 3), 0), (draw(2, 3), (0, 1))])
def _flip(x: Any, axis: Any = None) -> Any:
    axes = {a % x.ndim for a in axes_of(axis, x.ndim)}
    return x[tuple(slice(None, None, -1 if a in axes else None) for a in range(x.ndim))]


def _pull_broadcast_to(ans: Any, x: Any, shape: Any) -> Pull:
    return shrink(lambda g: g, ans.shape, x.shape)


_broadcast_gate = row(
    np.broadcast_to,
    _pull_broadcast_to,
    stacks=True,
    domain=COMPLEX,
    examples=lambda draw: [
        (draw(), (2, 3)),
        (draw(3), (2, 3)),
        (draw(2, 1), (4, 2, 3)),
        (draw(1), (0,)),
        (draw(3), (3,)),
    ],
)


# Joining and splitting.


def _pull_concatenate(i: int, ans: Any, *arrays: Any, axis: int = 0) -> Pull:
    axis = axis - ans.ndim if axis >= 0 else axis
    start = sum(x.shape[axis] for x in arrays[:i])
    at = (..., slice(start, start + arrays[i].shape[axis]), *(slice(None),) * (-axis - 1))
    return lambda g: g[at]


_concatenate_gate = Gate(
    "np.concatenate",
    lambda *arrays, axis=0: np.concatenate(arrays, axis),
    (_pull_concatenate,),
    variadic=True,
    stacks=True,
    domain=COMPLEX,
)
_join = joining(_concatenate_gate)


@of_complex(
    np.concatenate,
    examples=lambda draw: [
        ([draw(2), draw(3)],),
        ([draw(2, 3), draw(1, 3), np.ones((2, 3))],),
        ([draw(2, 3), draw(2, 1)], 1),
        ([draw(2, 3), draw(2, 1)], {"axis": -1}),
        ([draw(2, 3), draw()], None),
        ([draw(0), draw(2)],),
    ],
)
def _concatenate(arrays: Any, axis: Any = 0, out: None = None, **options: Any) -> Any:
    if type(axis) is int and out is None and not options and type(arrays) in {list, tuple}:
        if (made := _join(arrays, axis)) is not None:
            return made
    elif axis is None:
        arrays, axis = [np.ravel(x) for x in arrays], 0
    return _concatenate_gate(*map(array, arrays), axis=axis, out=out, **options)


@of_complex(
    np.stack,
    examples=lambda draw: [
        ([draw(), draw()],),
        ([draw(3), draw(3)],),
        ([draw(2, 3), draw(2, 3)], 1),
        ([draw(3), np.ones(3)], {"axis": -1}),
    ],
)
def _stack(arrays: Any, axis: int = 0, out: None = None, **options: Any) -> Any:
    return _concatenate_gate(*(np.expand_dims(array(x), axis) for x in arrays), axis=axis, out=out, **options)


@of_complex(np.vstack, examples=lambda draw: [([draw(3), draw(3)],), ([draw(2, 3), draw(3)],)])
def _vstack(arrays: Any, **options: Any) -> Any:
    return _concatenate_gate(*(np.atleast_2d(array(x)) for x in arrays), axis=0, **options)


@of_complex(
    np.hstack, examples=lambda draw: [([draw(3), draw(2)],), ([draw(2, 3), draw(2, 1)],), ([draw(), draw()],)]
)
def _hstack(arrays: Any, **options: Any) -> Any:
    arrays = [np.atleast_1d(array(x)) for x in arrays]
    return _concatenate_gate(*arrays, axis=0 if arrays[0].ndim == 1 else 1, **options)


def _split_by(function: Any, ary: Any, indices_or_sections: Any, axis: int) -> list[Any]:
    axis = normalize_axis_index(axis, ary.ndim)
    before = (slice(None),) * axis
    parts = function(np.arange(ary.shape[axis]), indices_or_sections)
    return [ary[(*before, slice(int(part[0]), int(part[-1]) + 1) if len(part) else slice(0, 0))] for part in parts]


def weighted_parts(function: Any) -> Any:
    """Return the function that examples judge: one array of all parts, each multiplied with its number."""
    return lambda x, *args, **kwargs: np.concatenate(
        [np.ravel(i * part) for i, part in enumerate(function(x, *args, **kwargs))]
    )


@of_complex(
    np.array_split,
    examples=lambda draw: [(draw(5), 2), (draw(2, 4), 3, 1)],
    of=weighted_parts(np.array_split),
)
def _array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    return _split_by(np.array_split, ary, indices_or_sections, axis)


@of_complex(
    np.split,
    examples=lambda draw: [
        (draw(4), 2),
        (draw(5, 2), [1, 3]),
        (draw(2, 4), 2, -1),
        (draw(2, 4), {"indices_or_sections": 2, "axis": 1}),
    ],
    of=weighted_parts(np.split),
)
def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    return _split_by(np.split, ary, indices_or_sections, axis)


@of_complex(
    np.tile,
    examples=lambda draw: [
        (draw(3), 2),
        (draw(2, 3), (2, 1)),
        (draw(3), (2, 2)),
        (draw(2, 1), 3),
        (draw(), 2),
        (draw(3), 0),
    ],
)
def _tile(A: Any, reps: Any) -> Any:  # noqa: N803  # as NumPy names it
    reps = (reps,) if np.ndim(reps) == 0 else tuple(reps)
    ndim = max(A.ndim, len(reps))
    reps = (1,) * (ndim - len(reps)) + reps
    shape = (1,) * (ndim - A.ndim) + A.shape
    apart = A.reshape(tuple(n for size in shape for n in (1, size)))
    repeated = np.broadcast_to(apart, tuple(n for pair in zip(reps, shape, strict=True) for n in pair))
    return repeated.reshape(tuple(r * n for r, n in zip(reps, shape, strict=True)))


def _pull_astype(ans: Any, x: Any, dtype: Any) -> Pull:
    back = x.dtype
    return lambda g: of_dtype(g, back)


_astype_gate = Gate("astype", lambda x, dtype: x.astype(dtype), (_pull_astype,), stacks=True, domain=COMPLEX)


def astype(x: Any, dtype: Any, **options: Any) -> Any:
    """Return ``x.astype(dtype)``, for a traced ``x``."""
    return real(x).astype(dtype) if np.dtype(dtype).kind in "iub" else _astype_gate(x, dtype)


def _cast(x: Any, dtype: Any) -> Any:
    return x.astype(dtype)


TABLE.append(
    Row(
        np.ndarray.astype, lambda draw: [(draw(3), np.float64), (draw(), np.float64)], _cast, astype, domain=COMPLEX
    ),
)


@of_complex(np.copy, examples=lambda draw: [(draw(2, 3),)])
def _copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    return a
