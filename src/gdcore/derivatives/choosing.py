"""Which arguments of a function are differentiated, and the function of those alone."""

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

from .explaining import explain

Argnums = int | list[int] | tuple[int, ...]
"""The place of the argument that is differentiated, or the places of several, whose gradients come as a tuple."""

Places = int | tuple[int, ...]


def name_of(f: Any) -> str:
    """Return how errors name a function; raise TypeError for what is none."""
    if not callable(f):
        raise TypeError(f"f: expected a function, got {type(f).__name__}")
    return getattr(f, "__name__", type(f).__name__)


def checked_argnums(argnums: Argnums) -> Places:
    """Return the places as an int or a tuple of ints; raise TypeError or ValueError for anything else."""
    places = tuple(argnums) if isinstance(argnums, list | tuple) else (argnums,)
    if any(isinstance(i, bool) or not isinstance(i, int) for i in places):
        raise TypeError(f"argnums: expected an int, or a list or tuple of ints, got {argnums!r}")
    if not places:
        raise ValueError("argnums: expected one argument at least, got none")
    return places if isinstance(argnums, list | tuple) else argnums


def choose(
    f: Callable[..., Any], argnums: Places, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Callable[[Any], Any]]:
    """Return the argument that is differentiated, or the tuple of several, and ``f`` as a function of that alone.

    Raises TypeError or ValueError for a place where no argument was given, and for one that is named twice.
    """
    if argnums == 0 and args:
        others = args[1:]

        def call_first(first: Any) -> Any:
            try:
                return f(first, *others, **kwargs)
            except (TypeError, AttributeError) as error:
                explain(error)
                raise

        return args[0], call_first
    several = isinstance(argnums, tuple)
    at = [_given(f, i, args, kwargs) for i in (argnums if isinstance(argnums, tuple) else (argnums,))]
    if len(set(at)) < len(at):
        raise ValueError(f"{name_of(f)}: argnums: expected arguments that differ, got {argnums!r}")
    chosen = tuple(args[i] if isinstance(i, int) else kwargs[i] for i in at)

    def call(tree: Any) -> Any:
        by_place, by_name = list(args), dict(kwargs)
        for i, x in zip(at, tree if several else (tree,), strict=True):
            if isinstance(i, int):
                by_place[i] = x
            else:
                by_name[i] = x
        try:
            return f(*by_place, **by_name)
        except (TypeError, AttributeError) as error:
            explain(error)
            raise

    return chosen if several else chosen[0], call


def _given(f: Callable[..., Any], i: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int | str:
    """Return where argument ``i`` was given: by which position, or by which name."""
    if -len(args) <= i < len(args):
        return i % len(args)
    try:
        parameters = list(signature(f).parameters.values())
    except ValueError:  # it is compiled
        parameters = []
    if 0 <= i < len(parameters):
        parameter = parameters[i]
        if parameter.name in kwargs and parameter.kind is Parameter.POSITIONAL_OR_KEYWORD:
            return parameter.name
    if i == 0:
        raise TypeError(f"{name_of(f)}: expected the argument that is differentiated by position, got none")
    raise ValueError(
        f"{name_of(f)}: argnums: expected the place of an argument that is given, "
        f"got {i} with {len(args)} by position"
    )
