"""The gates of users: what they are given, and what they return, is looked at more closely than gdcore's own."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arguments import describe
from ..trees import BRANCHES, flatten, rebuild
from ._gate import Gate, Vjp, check_result, leave_node, shrink
from ._tape import Pull
from ._traced import Traced, real
from .refusals import name_of, refuse_by_name


class UserGate(Gate):
    """A gate of a user's: an argument may be a list or another tree of arrays, and the vjp gives such a tree."""

    __slots__ = ()

    def __init__(self, function: Callable[..., Any], vjps: tuple[Vjp | None, ...]) -> None:
        # Past NumPy's dispatch, which would lead back here.
        forward = getattr(function, "_implementation", function)
        super().__init__(name_of(function), forward, vjps, foreign=True)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return ``forward(*args, **kwargs)``, and leave a node on the tape if something is traced."""
        for option, value in kwargs.items():
            if any(type(x) is Traced for x in flatten(value)):
                refuse_by_name(self.name, option)
        leaves = flatten(args)
        traced = [x for x in leaves if type(x) is Traced]
        if not traced:
            return self.forward(*args, **kwargs)
        tape = max((x.tape for x in traced), key=lambda tape: tape.level)
        plain = [x.value if type(x) is Traced and x.tape is tape else x for x in leaves]
        values = rebuild(args, iter(plain))
        if any(type(x) is Traced for x in plain):
            ans = self(*values, **kwargs)
        else:
            ans = self.forward(*values, **kwargs)
            if type(ans) is Traced and ans.tape.level >= tape.level:
                raise ValueError(
                    f"{self.name}: expected all traced values that the gate uses to be among its arguments, "
                    f"got one from outside"
                )
        if type(ans) is float:
            ans = np.float64(ans)
        check_result(self, ans)
        links = []
        for i, (arg, value) in enumerate(zip(args, values, strict=True)):
            inside = flatten(arg)
            at = [k for k, x in enumerate(inside) if type(x) is Traced and x.tape is tape]
            if at:
                pull = self.pull(i, ans, values, kwargs)
                if type(arg) is Traced:
                    links.append((arg.node, self.checked(f"vjp {i}", pull, ans, value)))
                else:
                    parts = self.parts(f"vjp {i}", pull, len(inside))
                    of = flatten(value)
                    links += [
                        (inside[k].node, self.checked(f"vjp {i}: leaf {k}", _leaf(parts, k), ans, of[k]))
                        for k in at
                    ]
        return leave_node(tape, self, ans, tuple(links))

    def pull(self, i: int, ans: Any, values: Any, kwargs: dict[str, Any]) -> Pull:
        """Return what the vjp of argument ``i`` gives, which has to be a function."""
        vjp = self.vjps[i] if i < len(self.vjps) else None
        if vjp is None:
            self.refuse_argument(i)
        pull = vjp(ans, *values, **kwargs)
        if not callable(pull):
            raise TypeError(f"{self.name}: vjp {i}: expected to return a function of g, got {type(pull).__name__}")
        return pull

    def parts(self, place: str, pull: Pull, count: int) -> Callable[[Any], list[Any]]:
        """Return the leaves of what a vjp gives for a tree of ``count``; they share one call for each gradient."""
        last: list[Any] = [None, []]

        def pull_leaves(g: Any) -> list[Any]:
            if last[0] is not g:
                d = pull(g)
                if not isinstance(d, BRANCHES) or len(flatten(d)) != count:
                    raise TypeError(
                        f"{self.name}: {place}: expected a gradient for each of {count} arrays, in a list or tree "
                        f"like the argument, got {describe(real(d))}"
                    )
                last[:] = g, flatten(d)
            return last[1]  # type: ignore[no-any-return]

        return pull_leaves

    def checked(self, place: str, pull: Pull, ans: Any, x: Any) -> Pull:
        """Return a pull that raises unless it gives a gradient of the shape of ``x``."""
        shape, dtype = x.shape, x.dtype
        spread = isinstance(self.forward, np.ufunc) and shape != ans.shape
        fit = shrink(lambda g: g, ans.shape, shape) if spread else None
        ans_shape = ans.shape

        def pull_checked(g: Any) -> Any:
            d = pull(g)
            if isinstance(d, float):
                d = np.float64(d)
            got = f"{self.name}: {place}: expected a gradient of {dtype} {shape}, got {describe(real(d))}"
            if not isinstance(d, Traced | np.ndarray | np.generic) or d.dtype.kind != "f":
                raise TypeError(got)
            if fit is not None and d.shape == ans_shape:
                d = fit(d)
            if d.shape != shape:
                raise ValueError(got)
            return d if d.dtype == dtype else d.astype(dtype)

        return pull_checked


def _leaf(parts: Callable[[Any], list[Any]], k: int) -> Pull:
    return lambda g: parts(g)[k]
