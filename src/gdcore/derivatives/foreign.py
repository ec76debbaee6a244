"""The gates of users: what they are given, and what they return, is looked at more closely than gdcore's own."""

from collections.abc import Callable
from functools import update_wrapper
from math import prod
from typing import Any, Final

import numpy as np

from ..arguments import describe
from ..trees import BRANCHES, flatten, rebuild
from ._gate import COMPLEX, Gate, Vjp, check_result, leave_node, of_dtype, shrink
from ._tape import Node, Pull, Tape
from ._traced import Traced, real
from .joining import joined
from .refusals import name_of, refuse_by_name

KINDS: Final = (Traced, np.ndarray, np.generic)
"""What a gradient may be."""


class UserGate(Gate):
    """A gate of a user's: an argument, and the result, may be a list or another tree of arrays.

    The vjp of such an argument gives such a tree. Of such a result the arrays are packed into one, which is what is
    on the tape, and taken out of it again by gates.
    """

    def __init__(self, function: Callable[..., Any], vjps: tuple[Vjp | None, ...]) -> None:
        # Past NumPy's dispatch, which would lead back here.
        forward = getattr(function, "_implementation", function)
        super().__init__(name_of(function), forward, vjps, foreign=True, domain=COMPLEX)
        update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return ``forward(*args, **kwargs)``, and leave a node on the tape if something is traced."""
        for option, value in kwargs.items():
            if any(type(x) is Traced for x in flatten(value)):
                refuse_by_name(self.name, option)
        trees = any(isinstance(x, BRANCHES) for x in args)
        leaves = flatten(args) if trees else args
        traced = [x for x in leaves if type(x) is Traced]
        if not traced:
            return self.forward(*args, **kwargs)
        tape = traced[0].tape if len(traced) == 1 else max((x.tape for x in traced), key=lambda tape: tape.level)
        plain = [x.value if type(x) is Traced and x.tape is tape else x for x in leaves]
        values = rebuild(args, iter(plain)) if trees else plain
        if any(type(x) is Traced for x in plain):
            ans = self(*values, **kwargs)
        else:
            ans = self.forward(*values, **kwargs)
            if any(type(x) is Traced and x.tape.level >= tape.level for x in flatten(ans)):
                raise ValueError(
                    f"{self.name}: expected all traced values that the gate uses to be among its arguments, "
                    f"got one from outside"
                )
        several = isinstance(ans, BRANCHES)
        numbers = {float, complex}
        ans = rebuild(ans, iter([np.asarray(x)[()] if type(x) in numbers else x for x in flatten(ans)]))
        for x in flatten(ans):
            check_result(self, x)
        links = []
        for i, x in enumerate(args):
            if type(x) is not Traced:
                links += self.links_of_tree(i, tape, x, ans, values, kwargs) if trees else []
            elif x.tape is tape:
                links.append((x.node, self.checked(i, None, self.pull(i, ans, values, kwargs), ans, values[i])))
        if not several:
            return leave_node(tape, self, ans, tuple(links))
        return _taken_out(leave_node(tape, self, _packed(ans), tuple(links)), ans)

    def links_of_tree(
        self, i: int, tape: Tape, tree: Any, ans: Any, values: Any, kwargs: dict[str, Any]
    ) -> list[tuple[Node, Pull]]:
        """Return the ways back to the leaves of argument ``i`` that are traced."""
        leaves, plain = flatten(tree), flatten(values[i])
        at = [k for k, x in enumerate(leaves) if type(x) is Traced and x.tape is tape]
        if not at:
            return []
        parts = self.parts(i, self.pull(i, ans, values, kwargs), len(leaves))
        return [(leaves[k].node, self.checked(i, k, _leaf(parts, k), ans, plain[k])) for k in at]

    def pull(self, i: int, ans: Any, values: Any, kwargs: dict[str, Any]) -> Pull:
        """Return what the vjp of argument ``i`` gives, which has to be a function."""
        vjp = self.vjps[i] if i < len(self.vjps) else None
        if vjp is None:
            self.refuse_argument(i)
        pull = vjp(ans, *values, **kwargs)
        if not callable(pull):
            raise TypeError(f"{self.name}: vjp {i}: expected to return a function of g, got {type(pull).__name__}")
        return (lambda g: pull(_taken_out(g, ans))) if isinstance(ans, BRANCHES) else pull

    def parts(self, i: int, pull: Pull, count: int) -> Callable[[Any], list[Any]]:
        """Return the leaves of what a vjp gives for a tree of ``count``; they share one call for each gradient."""
        last: list[Any] = [None, []]

        def pull_leaves(g: Any) -> list[Any]:
            if last[0] is not g:
                d = pull(g)
                if not isinstance(d, BRANCHES) or len(flatten(d)) != count:
                    raise TypeError(
                        f"{self.name}: vjp {i}: expected a gradient for each of {count} arrays, in a list or tree "
                        f"like the argument, got {describe(real(d))}"
                    )
                last[:] = g, flatten(d)
            return last[1]  # type: ignore[no-any-return]

        return pull_leaves

    def checked(self, i: int, leaf: int | None, pull: Pull, ans: Any, x: Any) -> Pull:
        """Return a pull that raises unless it gives a gradient like ``x``, which is an argument or a leaf of it."""
        shape, dtype, ans_shape = x.shape, x.dtype, flatten(ans)[0].shape
        spread = isinstance(self.forward, np.ufunc) and shape != ans_shape
        fit = shrink(lambda g: g, ans_shape, shape) if spread else None
        kinds = "fc" if "c" in {dtype.kind, *(y.dtype.kind for y in flatten(ans))} else "f"

        def pull_checked(g: Any) -> Any:
            d = pull(g)
            if isinstance(d, float | complex):
                d = np.asarray(d)[()]
            elif type(d) is np.ndarray and d.dtype.char == "O":
                d = joined(d)
            if not isinstance(d, KINDS) or d.dtype.kind not in kinds:
                raise TypeError(expected(d))
            if fit is not None and d.shape == ans_shape:
                d = fit(d)
            if d.shape != shape:
                raise ValueError(expected(d))
            return of_dtype(d, dtype)

        def expected(d: Any) -> str:
            place = f"vjp {i}" if leaf is None else f"vjp {i}: leaf {leaf}"
            return f"{self.name}: {place}: expected a gradient of {dtype} {shape}, got {describe(real(d))}"

        return pull_checked


def _leaf(parts: Callable[[Any], list[Any]], k: int) -> Pull:
    return lambda g: parts(g)[k]


def _packed(tree: Any) -> Any:
    """Return the elements of all arrays of a result as one vector."""
    return np.concatenate([np.reshape(x, -1) for x in flatten(tree)])


def _taken_out(vector: Any, tree: Any) -> Any:
    """Return a tree like ``tree``, the result, of what was packed into ``vector``, or of the gradient by it."""
    parts, start = [], 0
    for like in flatten(tree):
        stop = start + prod(like.shape)
        part = np.reshape(vector[start:stop], like.shape) if like.shape else vector[start]
        parts.append(part if part.dtype == like.dtype else part.astype(like.dtype))
        start = stop
    return rebuild(tree, iter(parts))
