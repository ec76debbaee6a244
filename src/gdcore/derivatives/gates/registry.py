"""The one registry of gates: it makes the ways of dispatch, and the operators, of the rows of the table."""

from collections.abc import Callable, Hashable, Sequence
from importlib import import_module
from typing import Any, Final

import numpy as np

from .._gate import REAL, Called, Gate, OfReals
from .._traced import GATES, Element, let_operator, real
from ..later import let_read, read_later
from ..refusals import name_of
from .table import CONSTANTS, PLAIN, TABLE, Row

Way = Callable[..., Any]

ALIASES: Final[dict[Any, Any]] = {
    np.amax: np.max,
    np.amin: np.min,
    np.around: np.round,
    np.linalg.matrix_transpose: np.matrix_transpose,
}
"""Functions that are others by another name, and have no row of their own."""
if hasattr(np, "astype"):  # since NumPy 2.1
    ALIASES[np.astype] = np.ndarray.astype

SYMBOLS: Final = {row.function: row.symbol for row in TABLE if row.symbol is not None}
"""The operators that are functions of NumPy."""


def register_rows() -> None:
    """Register every row of the table; once, when this folder is imported, which comes before any use of it."""
    _add_rows(TABLE, (*CONSTANTS, *PLAIN))
    for row in TABLE:
        if row.symbol is not None:
            assert row.apply is not None
            let_operator(row.symbol.__name__.strip("_"), row.apply)
    for alias, function in ALIASES.items():
        _add(alias, _same_as(function))
    let_read(read_special)


def read_special() -> None:
    """Register the rows of SciPy's ufuncs: at the first use of one, so that nobody else waits for them."""
    rows, constants = len(TABLE), len(CONSTANTS)
    import_module("gdcore.derivatives.special")
    _add_rows(TABLE[rows:], CONSTANTS[constants:])


def _add_rows(rows: Sequence[Row], constants: Sequence[Any]) -> None:
    for row in rows:
        if row.domain != REAL or row.way is None or isinstance(row.way, Gate | Element):  # these see for themselves
            _add(row.function, row.way)
        else:
            _add(row.function, OfReals(name_of(row.function), row.way))
    for function in constants:
        _add(function, _on_real(function))


def own(
    function: Callable[..., Any], examples: Any, of: Callable[..., Any] | None = None, domain: int = REAL
) -> None:
    """Add the row of a function of gdcore's that calls gates, and that NumPy does not dispatch."""
    TABLE.append(Row(function, examples, of or function, domain=domain))
    _add(function, None)


def register(function: Any, gate: Gate, *, replace: bool) -> None:
    """Register a user's gate for a function of NumPy or a ufunc; operators, methods and aliases follow.

    Raises ValueError for a function that has a gate of gdcore's, unless it is to ``replace`` that, and where it
    cannot be replaced.
    """
    if not isinstance(function, Hashable):
        return
    function = ALIASES.get(function, function)
    if isinstance(function, np.ufunc):
        read_later()
    if function in _OWN:
        if not replace:
            raise ValueError(
                f"function: expected one that has no gate yet, got {name_of(function)}; "
                f"gd.gate(..., replace=True) replaces it"
            )
        if function in PLAIN:
            raise ValueError(
                f"function: expected one that gives floats, got {name_of(function)}, whose gate cannot be replaced"
            )
        if not dispatched(function):
            raise ValueError(
                f"function: expected a function of NumPy, got {name_of(function)}, whose gate cannot be replaced; "
                f"gd.gate makes one of another function that calls it"
            )
    if not dispatched(function):
        return
    GATES[function] = gate
    if function in SYMBOLS:
        let_operator(SYMBOLS[function].__name__.strip("_"), Called(gate))


def dispatched(function: Any) -> bool:
    """Return whether NumPy hands the function over when it meets a traced value: ``np.sum``, ``np.add.reduce``."""
    owner = getattr(function, "__self__", function)
    return isinstance(owner, np.ufunc) or hasattr(function, "_implementation") or function is np.ndarray.astype


_OWN: Final[set[Any]] = set()


def _add(function: Any, way: Way | None) -> None:
    if function in _OWN:
        raise ValueError(f"{name_of(function)}: expected one row, got two")
    _OWN.add(function)
    if way is not None:
        GATES[function] = way


def _same_as(function: Any) -> Way:
    return lambda *args, **kwargs: GATES[function](*args, **kwargs)  # noqa: PLW0108  # looked up at each call


def _on_real(function: Any) -> Way:
    def apply(*args: Any, **kwargs: Any) -> Any:
        plain = [[real(y) for y in x] if type(x) in {list, tuple} else real(x) for x in args]
        return function(*plain, **{name: real(value) for name, value in kwargs.items()})

    return apply
