"""The table of gates: what a row is, and how one is added."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np

from .._gate import COMPLEX, HOLOMORPHIC, REAL, Gate, Vjp
from .._usual import Elementwise
from ..refusals import name_of


class Row(NamedTuple):
    """One gate: the way of traced values through a function, and what the tests try, which walk the table."""

    function: Callable[..., Any]
    """What users call."""
    examples: Callable[[Callable[..., Any]], list[tuple[Any, ...]]]
    """Given ``draw(*shape, low=-2.0, high=2.0)``, it returns arguments to try; a dict at the end is keywords."""
    of: Callable[..., Any]
    """What to call with the examples, if not the function itself."""
    way: Callable[..., Any] | None = None
    """What dispatch calls when the function meets a traced value; None for what NumPy does not dispatch."""
    symbol: Callable[..., Any] | None = None
    """The operator that is the same function: ``operator.add``."""
    apply: Callable[..., Any] | None = None
    """What the operator calls."""
    domain: int = REAL
    """Whether it takes complex numbers too; where it is REAL they are refused."""


TABLE: Final[list[Row]] = []
CONSTANTS: Final[list[Callable[..., Any]]] = []
"""Functions whose results are constants of all derivatives: zero is their derivative, where there is one."""
PLAIN: Final[list[Callable[..., Any]]] = []
"""Functions whose results are no floats, and so can have no gradient at all."""


def row(
    function: Any,
    *vjps: Vjp | None,
    examples: Any,
    stacks: bool = False,
    variadic: bool = False,
    entry: Callable[..., Any] | None = None,
    forward: Callable[..., Any] | None = None,
    saving: Callable[..., tuple[Any, Any]] | None = None,
    of: Callable[..., Any] | None = None,
    domain: int = REAL,
) -> Gate:
    """Add a gate for a function of NumPy, or for one that calls the gate.

    ``entry``, if given, is what dispatch calls with the arguments as NumPy takes them; it ends in the gate.
    ``forward`` is what the gate calls with plain arrays, if not the function itself.
    """
    gate = Gate(
        name_of(function), forward or function, vjps, stacks=stacks, variadic=variadic, saving=saving, domain=domain
    )
    TABLE.append(Row(function, examples, of or function, entry or gate, domain=domain))
    return gate


def derived(
    *functions: Any, examples: Any, of: Callable[..., Any] | None = None, domain: int = REAL
) -> Callable[[Any], Any]:
    """Register the decorated function, made of gates, as the way of traced values through ``functions``."""

    def register(entry: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            TABLE.append(Row(function, examples, of or function, entry, domain=domain))
        return entry

    return register


def elementwise(
    ufunc: np.ufunc,
    *vjps: Vjp,
    symbol: Callable[..., Any] | None = None,
    low: float = -2.0,
    high: float = 2.0,
    domain: int = REAL,
) -> None:
    """Add a gate for a ufunc, and for the operator whose ``symbol`` is given.

    The vjps need not care for broadcasting. The tests try values from ``low`` to ``high``.
    """
    gate = Gate(name_of(ufunc), ufunc, vjps, stacks=True, domain=domain)
    examples = (usual_unary if len(vjps) == 1 else usual_binary)(low, high)
    # On scalars an operator is several times faster than its ufunc.
    apply = None if symbol is None else Elementwise(gate, symbol)
    TABLE.append(Row(ufunc, examples, ufunc, Elementwise(gate, ufunc), symbol, apply, domain))


holomorphic: Final = partial(elementwise, domain=HOLOMORPHIC)
"""The same, for a ufunc that has a derivative at complex numbers too, which is stated as that of real ones."""
of_complex: Final = partial(derived, domain=COMPLEX)
"""Register a way made of gates, as :func:`derived` does, that is right for complex numbers too."""


def parted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that examples judge: the parts of complex numbers side by side, which are real."""

    def parts(*args: Any, **kwargs: Any) -> Any:
        y = function(*args, **kwargs)
        return np.stack([y.real, y.imag]) if np.iscomplexobj(y) else y

    return parts


def usual_unary(low: float, high: float) -> Any:
    """Return the examples of an element-wise gate of one argument."""
    return lambda draw: [(draw(*shape, low=low, high=high),) for shape in ((), (3,), (2, 3), (0,), (2, 0))]


def usual_binary(low: float, high: float) -> Any:
    """Return the examples of an element-wise gate of two arguments."""
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((), ()), ((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2, 2)), ((4, 1, 2), (3, 1)), ((0,), (1,)),
    ]  # fmt: skip
    return lambda draw: [
        *((draw(*a, low=low, high=high), draw(*b, low=low, high=high)) for a, b in shapes),
        (draw(2, 3, low=low, high=high), 2.0),
        (2.0, draw(2, 3, low=low, high=high)),
        (draw(2, low=low, high=high), 3),
    ]
