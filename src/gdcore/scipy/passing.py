"""Which calls go to SciPy's own functions: those that no derivative in progress takes part in."""

from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, ParamSpec, TypeVar

import numpy as np

from ..derivatives import REAL, Traced, own, real
from ..trees import flatten, rebuild

P = ParamSpec("P")
R = TypeVar("R")


def is_traced(tree: Any) -> bool:
    """Return whether there is a traced value in a tree of arguments, or an array that holds some."""
    return any(
        type(x) is Traced or (type(x) is np.ndarray and x.dtype.char == "O" and is_traced(x.ravel().tolist()))
        for x in flatten(tree)
    )


def plain(tree: Any) -> Any:
    """Return the tree with the real values of what is traced."""
    return rebuild(tree, iter([real(x) for x in flatten(tree)]))


def instead_of(
    function: Any, *, examples: Any = None, first: Callable[[Any], Any] | None = None, domain: int = REAL
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let the decorated function take the place of one of SciPy's for traced values.

    The tests try ``examples``, of complex numbers too if it is of that ``domain``; ``first``, if given, makes of
    the first of an example's arguments what is taken.
    """

    def decorate(way: Callable[P, R]) -> Callable[P, R]:
        @wraps(way)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            if is_traced((args, kwargs)):
                return way(*args, **kwargs)
            result: R = function(*args, **kwargs)
            return result

        def of_made(x: Any, *args: Any, **kwargs: Any) -> Any:
            return called(*(first(x) if first else x, *args), **kwargs)

        if examples is not None:
            own(called, examples, of_made if first else None, domain)
        return called

    return decorate


def refuse(name: str, argument: str, hint: str) -> NoReturn:
    """Raise the TypeError for an argument that is not differentiated, or stands in the way."""
    raise TypeError(f"gd.scipy.{name}: {argument}: expected none with a traced value, got one; {hint}")


def missing(module: Any, name: str, own_name: str) -> NoReturn:
    """Raise the AttributeError for a name that is not differentiated here, saying whether SciPy has it."""
    has = f"{module.__name__} has it, for plain values" if hasattr(module, name) else "nor has SciPy"
    raise AttributeError(f"{own_name}: expected what is differentiated, got {name!r}; {has}")
