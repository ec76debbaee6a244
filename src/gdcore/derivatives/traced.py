"""Traced values: they stand in for arrays while a function is differentiated.

NumPy hands every operation on a traced value to the gate of its function, found in ``GATES``; methods look there
too, and operators are put on the class by ``gates/``. What would lose the gradient silently is refused.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np

from ..arguments import describe
from .tape import Node, Tape

GATES: Final[dict[Any, Callable[..., Any]]] = {}
"""The gate of each function of NumPy, ufuncs among them: what dispatch looks up."""

WRITING: Final = {np.copyto, np.put, np.place, np.putmask, np.fill_diagonal, np.put_along_axis}
"""Functions of NumPy that write to an argument: no gate of them could work."""

Operator = Callable[..., Any]


def method(function: Any) -> Callable[..., Any]:
    """Return the method of traced values that is a function of NumPy."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return GATES[function](self, *args, **kwargs)

    return call


class Traced:
    """A value on its way through the circuit: use it as an ``ndarray`` of float32 or float64."""

    __slots__ = ("node", "tape", "value")
    __hash__ = None  # type: ignore[assignment]  # == compares element by element

    def __init__(self, value: Any, tape: Tape, node: Node) -> None:
        self.value = value
        self.tape = tape
        self.node = node

    # Operators, which the rows of the table bring: one more call would cost a scalar as much as its arithmetic.
    __pos__: Operator
    __neg__: Operator
    __abs__: Operator
    __add__: Operator
    __radd__: Operator
    __sub__: Operator
    __rsub__: Operator
    __mul__: Operator
    __rmul__: Operator
    __truediv__: Operator
    __rtruediv__: Operator
    __mod__: Operator
    __rmod__: Operator
    __pow__: Operator
    __rpow__: Operator
    __matmul__: Operator
    __rmatmul__: Operator
    __getitem__: Operator

    def __floordiv__(self, other: Any) -> Any:
        return GATES[np.floor_divide](self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return GATES[np.floor_divide](other, self)

    def __lt__(self, other: Any) -> Any:
        return real(self) < real(other)

    def __le__(self, other: Any) -> Any:
        return real(self) <= real(other)

    def __eq__(self, other: object) -> Any:
        return real(self) == real(other)

    def __ne__(self, other: object) -> Any:
        return real(self) != real(other)

    def __gt__(self, other: Any) -> Any:
        return real(self) > real(other)

    def __ge__(self, other: Any) -> Any:
        return real(self) >= real(other)

    # Methods: each is the function of NumPy that bears its name.
    all = method(np.all)
    any = method(np.any)
    argmax = method(np.argmax)
    argmin = method(np.argmin)
    argsort = method(np.argsort)
    astype = method(np.ndarray.astype)
    clip = method(np.clip)
    copy = method(np.copy)
    cumsum = method(np.cumsum)
    diagonal = method(np.diagonal)
    dot = method(np.dot)
    flatten = method(np.ravel)
    max = method(np.max)
    mean = method(np.mean)
    min = method(np.min)
    nonzero = method(np.nonzero)
    prod = method(np.prod)
    ravel = method(np.ravel)
    repeat = method(np.repeat)
    round = method(np.round)
    searchsorted = method(np.searchsorted)
    squeeze = method(np.squeeze)
    std = method(np.std)
    sum = method(np.sum)
    swapaxes = method(np.swapaxes)
    take = method(np.take)
    trace = method(np.trace)
    var = method(np.var)

    def reshape(self, *shape: Any, **options: Any) -> Any:
        """As ``ndarray.reshape``: the lengths one by one, or as a tuple."""
        return GATES[np.reshape](self, shape[0] if len(shape) == 1 else shape, **options)

    def transpose(self, *axes: Any) -> Any:
        """As ``ndarray.transpose``: the axes one by one, or as a tuple."""
        return GATES[np.transpose](self, (axes[0] if len(axes) == 1 else axes) or None)

    @property
    def T(self) -> Any:  # noqa: N802  # as NumPy names it
        """Its transpose: all axes in reverse."""
        return GATES[np.transpose](self, None)

    @property
    def mT(self) -> Any:  # noqa: N802
        """Its matrices transposed: the last two axes."""
        return GATES[np.matrix_transpose](self)

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            refuse_options(name_of(ufunc), kwargs)
        if method == "at":
            _refuse_writing(self)
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        gate = GATES.get(function)
        if gate is not None:
            return gate(*args, **kwargs)
        return no_gate(name_of(function))

    def __array_function__(self, function: Any, _: Any, args: Any, kwargs: Any) -> Any:
        gate = GATES.get(function)
        if gate is not None:
            return gate(*args, **kwargs)
        if function in WRITING:
            raise TypeError(
                f"{name_of(function)}: expected no writing to arrays, as a traced value would lose its gradient, "
                f"got a traced one; np.where, np.stack and np.concatenate make a new array"
            )
        return no_gate(name_of(function))

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.value.shape  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """The number of its axes."""
        return self.value.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """The number of its elements."""
        return self.value.size  # type: ignore[no-any-return]

    @property
    def dtype(self) -> Any:
        """Its dtype."""
        return self.value.dtype

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            gate = GATES.get(getattr(np, name, None)) if callable(getattr(np.ndarray, name, None)) else None
            if gate is not None:
                return partial(gate, self)  # of a function that a user has given a gate
            raise AttributeError(f"traced value: expected an attribute of ndarray that has a gate, got {name!r}")

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        if self.ndim == 0:
            raise TypeError("traced value: expected an array to iterate over, got a scalar")
        return iter([self[i] for i in range(len(self))])

    def __repr__(self) -> str:
        return f"<traced {real(self)!r}>"

    def __format__(self, spec: str) -> str:
        return format(real(self), spec)

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(
            f"traced value: expected to stay traced, as its gradient would be lost, got converted from "
            f"{describe(real(self))} to a plain array; np.stack and np.concatenate join traced values, "
            f"and gd.stop_gradient(x) makes them plain"
        )

    def _refuse_conversion(self, *_: Any) -> NoReturn:
        raise TypeError(
            f"traced value: expected to stay traced, as its gradient would be lost, got converted from "
            f"{describe(real(self))} to a Python number, a list or a bool; use NumPy's functions, comparisons such "
            f"as x > 0, or gd.stop_gradient(x)"
        )

    __float__ = __int__ = __index__ = __bool__ = __complex__ = _refuse_conversion
    item = tolist = tobytes = _refuse_conversion

    def _refuse_writing(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(
            "traced value: expected to be read only, as its earlier value is needed on the way back, got written "
            "to in place; use np.where, np.concatenate or arithmetic to make a new array"
        )

    __setitem__ = __delitem__ = _refuse_writing

    def __copy__(self) -> "Traced":
        return self  # nothing can be written to it

    def __deepcopy__(self, _: Any) -> "Traced":
        return self

    def __reduce_ex__(self, _: Any) -> NoReturn:
        raise TypeError(
            f"traced value: expected to stay within the derivative, as its gradient would be lost, got "
            f"{describe(real(self))} to pickle; gd.stop_gradient(x) makes it plain"
        )

    def _augment(self, _: Any) -> Any:
        if self.ndim:
            raise TypeError(
                "traced value: expected to be read only, as its earlier value is needed on the way back, got "
                "written to by +=, *= or the like; x = x + y makes a new array"
            )
        return NotImplemented  # a scalar has always been replaced: Python falls back to x = x + y

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ifloordiv__ = __imod__ = __ipow__ = __imatmul__ = _augment
    fill = put = resize = partition = setfield = sort = _refuse_writing


def _refuse_writing(x: Traced) -> NoReturn:
    x._refuse_writing()


def begin(tape: Tape, value: Any) -> Traced:
    """Return the traced value of an input."""
    return Traced(value, tape, Node(None, ()))


def real(x: Any) -> Any:
    """Return the real value behind ``x``, at the bottom of all levels."""
    while type(x) is Traced:
        x = x.value
    return x


REFUSED: Final = {
    "out": "traced values cannot be written to; use the returned value",
    "where": "np.where(condition, x, 0) selects elements",
    "initial": "np.maximum or + joins a further value",
    "dtype": ".astype(np.float64) changes the dtype",
    "casting": ".astype(np.float64) changes the dtype",
    "subok": "traced values have no subclass",
}
_DEFAULTS: Final[dict[str, Any]] = {"where": True, "casting": "same_kind", "subok": True, "initial": np._NoValue}


def refuse_by_name(name: str, option: str) -> NoReturn:
    """Raise the TypeError for a traced value that is given by name."""
    raise TypeError(f"{name}: {option}: expected a traced array as a positional argument, got one by name")


def refuse_options(name: str, kwargs: dict[str, Any]) -> None:
    """Raise TypeError for an option that no gate has and for a traced value by name; drop what is default."""
    for option in list(kwargs):
        value = kwargs[option]
        if type(value) is Traced:
            refuse_by_name(name, option)
        if option in REFUSED:
            if value is not None and value is not _DEFAULTS.get(option, None) and value is not np._NoValue:
                raise TypeError(
                    f"{name}: {option}: expected no such option with a traced array, got one; {REFUSED[option]}"
                )
            del kwargs[option]


def no_gate(name: str) -> NoReturn:
    """Raise the TypeError for a function that has no gate."""
    raise TypeError(
        f"{name}: expected a function that has a gate, got none for it; register one with "
        f"gd.gate({name}, lambda ans, x: lambda g: ...), or take it out of the derivative with gd.stop_gradient(x)"
    )


def name_of(function: Any) -> str:
    """Return how a function is written in code: ``np.linalg.inv``."""
    name = getattr(function, "__name__", repr(function))
    if isinstance(function, np.ufunc):
        return f"np.{name}" if getattr(np, name, None) is function else name
    if isinstance(owner := getattr(function, "__self__", None), np.ufunc):
        return f"{name_of(owner)}.{name}"
    if function is np.ndarray.astype:
        return "astype"
    module = (getattr(function, "__module__", None) or "").split(".")
    if module[0] == "numpy":
        return ".".join(["np", *module[1:], name])
    return f"gd.{name}" if module[0] == "gdcore" else name
