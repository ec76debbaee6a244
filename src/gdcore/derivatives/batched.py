"""Values of all samples of a batch at once: arrays with an axis in front, which their function does not see.

What has no rule here is refused, so that whoever asks can go sample by sample.
"""

from collections.abc import Callable
from math import prod
from typing import Any, Final, NoReturn

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple
from numpy.lib.mixins import NDArrayOperatorsMixin

from ._traced import Traced, real

RULES: Final[dict[Any, Callable[..., Any]]] = {}
"""The way of batched values through each function of NumPy that is no element-wise ufunc."""


class NoRuleError(TypeError):
    """There is no rule for what is done with a batched value."""


def refuse(*_: Any, **__: Any) -> NoReturn:
    """Raise what says that there is no rule."""
    raise NoRuleError("there is no rule for this with an axis of samples in front")


class Batched(NDArrayOperatorsMixin):
    """An array of each sample; ``value`` holds them, traced or not, with the samples along its first axis."""

    __slots__ = ("value",)
    __hash__ = None  # type: ignore[assignment]
    __array__ = __bool__ = __float__ = __int__ = __index__ = __complex__ = __setitem__ = refuse

    def __init__(self, value: Any) -> None:
        self.value = value

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample's array."""
        return tuple(self.value.shape[1:])

    @property
    def ndim(self) -> int:
        """The number of its axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of its elements."""
        return prod(self.shape)

    @property
    def dtype(self) -> Any:
        """Its dtype."""
        return self.value.dtype

    @property
    def T(self) -> Any:  # noqa: N802  # as ndarray
        """Its transpose."""
        return _transpose(self)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Any:
        return iter([self[i] for i in range(len(self))])

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            refuse()
        if ufunc in RULES:
            return RULES[ufunc](*args)
        if ufunc.signature is not None or ufunc.nout != 1:
            refuse()
        return Batched(ufunc(*_aligned(args)))

    def __array_function__(self, function: Any, _: Any, args: Any, kwargs: Any) -> Any:
        return RULES.get(function, refuse)(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        function = RULES.get(getattr(np, name, None)) if callable(getattr(np.ndarray, name, None)) else None
        if function is None:
            refuse()
        return lambda *args, **kwargs: function(self, *args, **kwargs)

    def reshape(self, *shape: Any) -> Any:
        """As ``ndarray.reshape``."""
        return _reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        """As ``ndarray.transpose``."""
        return _transpose(self, (axes[0] if len(axes) == 1 else axes) or None)

    def flatten(self) -> Any:
        """As ``ndarray.flatten``."""
        return _reshape(self, -1)

    def astype(self, dtype: Any) -> Any:
        """As ``ndarray.astype``."""
        return Batched(self.value.astype(dtype))

    def __getitem__(self, at: Any) -> Any:
        index = at if type(at) is tuple else (at,)
        if all(i is None or i is ... or type(i) in {int, slice} for i in index):
            return Batched(self.value[(slice(None), *index)])
        if not all(type(i) is int or (isinstance(i, np.ndarray | Batched) and i.dtype.kind in "iu") for i in index):
            refuse()
        ndim = max(np.ndim(i) for i in index)
        samples = np.arange(len(self.value)).reshape(-1, *[1] * ndim)
        return Batched(self.value[(samples, *_aligned(index))])


def _aligned(args: Any) -> list[Any]:
    """Return arrays whose axes of samples meet in broadcasting: shorter shapes get axes behind it."""
    ndim = max(np.ndim(real(x)) for x in args)
    aligned = []
    for x in args:
        if type(x) is not Batched:
            aligned.append(x)
        elif x.ndim == ndim:
            aligned.append(x.value)
        else:
            aligned.append(np.reshape(x.value, (len(x.value), *[1] * (ndim - x.ndim), *x.shape)))
    return aligned


def rule(*functions: Any) -> Callable[[Any], Any]:
    """Register the decorated function as the way of batched values through ``functions``."""

    def register(way: Any) -> Any:
        for function in functions:
            RULES[function] = way
        return way

    return register


@rule(np.shape)
def _shape(a: Any) -> tuple[int, ...]:
    return tuple(a.shape)


@rule(np.ndim)
def _ndim(a: Any) -> int:
    return len(a.shape)


@rule(np.size)
def _size(a: Any, axis: Any = None) -> int:
    return prod(a.shape) if axis is None else int(a.shape[axis])


def _reduction(function: Any) -> Any:
    def reduced(a: Any, axis: Any = None, *, keepdims: Any = False, **options: Any) -> Any:
        if type(a) is not Batched or options or keepdims is np._NoValue:
            refuse()
        axes = range(a.ndim) if axis is None else normalize_axis_tuple(axis, a.ndim)
        return Batched(function(a.value, axis=tuple(i + 1 for i in axes), keepdims=keepdims)) if axes else +a

    return rule(function)(reduced)


for _function in (np.sum, np.mean, np.max, np.min, np.prod):
    _reduction(_function)
for _alias, _function in ((np.amax, np.max), (np.amin, np.min)):
    RULES[_alias] = RULES[_function]


@rule(np.matmul)
def _matmul(a: Any, b: Any) -> Any:
    shapes = _shape_of(a), _shape_of(b)
    if not shapes[0] or not shapes[1]:
        refuse()
    row, column = len(shapes[0]) == 1, len(shapes[1]) == 1
    a = _reshape(a, (1, *shapes[0])) if row else a
    b = _reshape(b, (*shapes[1], 1)) if column else b
    ans = Batched(np.matmul(*_aligned((a, b))))
    shape = (
        ans.shape[: len(ans.shape) - row - column] if not (row and not column) else (*ans.shape[:-2], ans.shape[-1])
    )
    return _reshape(ans, shape) if row or column else ans


@rule(np.dot)
def _dot(a: Any, b: Any) -> Any:
    if not _shape_of(a) or not _shape_of(b):
        return np.multiply(a, b)
    if len(_shape_of(a)) > 2 or len(_shape_of(b)) > 2:
        refuse()
    return _matmul(a, b)


def _shape_of(x: Any) -> tuple[int, ...]:
    return tuple(x.shape) if isinstance(x, Batched | Traced) else np.shape(x)


@rule(np.reshape)
def _reshape(a: Any, shape: Any) -> Any:
    if type(a) is not Batched:
        return np.reshape(a, shape)
    lengths = [int(n) for n in (shape if isinstance(shape, tuple | list) else (shape,))]
    if -1 in lengths:
        known = prod(n for n in lengths if n != -1)
        lengths[lengths.index(-1)] = a.size // known if known else 0
    return Batched(np.reshape(a.value, (len(a.value), *lengths)))


@rule(np.ravel)
def _ravel(a: Any) -> Any:
    return _reshape(a, -1)


@rule(np.squeeze)
def _squeeze(a: Any, axis: Any = None) -> Any:
    axes = [i for i, n in enumerate(a.shape) if n == 1] if axis is None else normalize_axis_tuple(axis, a.ndim)
    return Batched(np.squeeze(a.value, tuple(i + 1 for i in axes)))


@rule(np.expand_dims)
def _expand_dims(a: Any, axis: int) -> Any:
    return Batched(np.expand_dims(a.value, normalize_axis_index(axis, a.ndim + 1) + 1))


@rule(np.transpose)
def _transpose(a: Any, axes: Any = None) -> Any:
    order = range(a.ndim)[::-1] if axes is None else normalize_axis_tuple(axes, a.ndim)
    return Batched(np.transpose(a.value, (0, *(i + 1 for i in order))))


@rule(np.concatenate)
def _concatenate(arrays: Any, axis: Any = 0) -> Any:
    arrays = _all_batched(arrays)
    return Batched(np.concatenate([x.value for x in arrays], normalize_axis_index(axis, arrays[0].ndim) + 1))


@rule(np.stack)
def _stack(arrays: Any, axis: int = 0) -> Any:
    arrays = _all_batched(arrays)
    return Batched(np.stack([x.value for x in arrays], normalize_axis_index(axis, arrays[0].ndim + 1) + 1))


def _all_batched(arrays: Any) -> list[Batched]:
    count = next(len(x.value) for x in arrays if type(x) is Batched)
    return [
        x if type(x) is Batched else Batched(np.broadcast_to(x, (count, *_shape_of(np.asarray(x))))) for x in arrays
    ]


@rule(np.where)
def _where(condition: Any, x: Any, y: Any) -> Any:
    return Batched(np.where(*_aligned((condition, x, y))))
