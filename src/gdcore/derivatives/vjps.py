"""Products with the Jacobian, from the left and from the right, without it: pulls of gradients, and tangents.

There is one set of rules, the vjps of the gates; ``carry_forth`` in ``_ends.pyx`` takes tangents through them. The
Jacobian by its columns is the way back along the way back, which is walked once with traced gradients.
"""

from collections.abc import Callable
from functools import wraps
from math import inf
from threading import Lock
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from ..trees import take_apart
from ._back import underflow_ignored, walk_back, walk_back_again
from ._ends import begin, carry_forth
from ._tape import Node, Tape
from ._traced import Traced
from .choosing import Argnums, checked_argnums, choose, name_of
from .ends import array_result, own, refuse_foreign, seed, traced_inputs, vectors_like
from .operators import grad, with_vector

P = ParamSpec("P")
Further = ParamSpec("Further")
R = TypeVar("R")
T = TypeVar("T")


def vjp(f: Callable[P, R], argnums: Argnums = 0) -> Callable[P, tuple[R, Callable[[Any], Any]]]:
    """Return a function that gives the value of ``f`` and the pull: vector-Jacobian products at this point.

    ``value, pull = vjp(f)(params, *args, **kwargs)``; then ``pull(g)`` is the gradient of ``sum(g * f(params))``.
    ``f`` computes an array of any shape, or a tree of those, and ``g`` has to be such a tree. ``f`` runs once;
    ``pull`` may be called as often as you like. What ``f`` kept for the way back is freed with ``pull``.

    ``params`` and ``argnums`` are those of :func:`value_and_grad`, and so are the gradients and the errors.
    ``pull`` raises TypeError or ValueError for a ``g`` of another structure or other shapes.

    Arguments:
        f: a function that computes an array, or a tree of arrays.
        argnums: that of :func:`value_and_grad`.

    >>> import numpy as np, gdcore as gd
    >>> value, pull = gd.vjp(lambda v: v[0] * v[1:])(np.array([2.0, 3.0, 4.0]))
    >>> value
    array([6., 8.])
    >>> pull(np.array([1.0, 0.0])), pull(np.array([0.0, 1.0]))
    (array([3., 2., 0.]), array([4., 0., 2.]))
    """
    name, places = name_of(f), checked_argnums(argnums)

    @wraps(f)
    def differentiated(*args: P.args, **kwargs: P.kwargs) -> Any:
        params, call = choose(f, places, args, kwargs)
        tape = Tape()
        try:
            leaves, build = take_apart(params)
            inputs = traced_inputs(tape, params, leaves, places)
            outs, build_outs = outputs(name, tape, call(build(inputs)))
            value = build_outs([_value(tape, y) for y in outs])
            at = [_place(tape, y) for y in outs]
            del outs
            nodes = tape.take()
        finally:
            tape.close()
        return value, _pull(name, tape, nodes, inputs, build, at, value)

    return differentiated


def _value(tape: Tape, y: Any) -> Any:
    """Return an output as it is without ``tape``."""
    return y.value if type(y) is Traced and y.tape is tape else y


def _zeros(y: Any) -> Any:
    """Return the tangent of a constant."""
    return np.zeros(np.shape(y), y.dtype if isinstance(y, Traced) else np.result_type(y))


def _place(tape: Tape, y: Any) -> Node | int | None:
    """Return where an output is on the tape; itself, if it is an input, and None for what is not traced.

    The last node of a long tape is held by the list alone, which lets go of the nodes one by one.
    """
    if type(y) is not Traced or y.tape is not tape:
        return None
    nodes = tape.nodes
    return next((i for i in range(len(nodes) - 1, -1, -1) if nodes[i] is y.node), y.node)


def _pull(
    name: str,
    tape: Tape,
    nodes: list[Node],
    inputs: list[Traced],
    build: Callable[[list[Any]], Any],
    at: list[Node | int | None],
    value: Any,
) -> Callable[[Any], Any]:
    lock = Lock()  # the gradients gather at the nodes

    def pull(g: Any) -> Any:
        vectors = vectors_like(value, g, "g", "value")
        for vector in vectors:
            refuse_foreign(name, inf, vector)
        with lock, underflow_ignored():
            try:
                for place, vector in zip(at, vectors, strict=True):
                    if place is not None:
                        seed(nodes[place] if isinstance(place, int) else place, vector)
                walk_back_again(reversed(nodes), stacked=False)
                return build(own(name, tape, inputs, inf))
            finally:
                for node in (*nodes, *(x.node for x in inputs)):
                    node.grad = None

    return pull


def jvp(
    f: Callable[Concatenate[T, Further], R],
) -> Callable[Concatenate[T, T, Further], tuple[R, Any]]:
    """Return a function that gives the value of ``f`` and its tangent: the Jacobian times a tree ``v``.

    ``value, tangent = jvp(f)(params, v, *args, **kwargs)``: ``tangent`` is the derivative of ``f(params + t * v)``
    by ``t`` at 0, and has the structure of ``value``: an array, or a tree of those. It costs a few times as much
    as ``f``, whatever the number of outputs. ``v`` is a tree like ``params``, which are those of
    :func:`value_and_grad`.

    Raises TypeError or ValueError for a ``v`` of another structure or other shapes, and what
    :func:`value_and_grad` raises.

    Arguments:
        f: a function that computes an array, or a tree of arrays.

    >>> import numpy as np, gdcore as gd
    >>> gd.jvp(lambda t: np.sin(t * np.arange(3.0)))(0.0, 1.0)
    (array([0., 0., 0.]), array([0., 1., 2.]))
    """
    name = name_of(f)

    @wraps(f)
    def differentiated(params: T, v: T, /, *args: Further.args, **kwargs: Further.kwargs) -> Any:
        tape = Tape()
        try:
            leaves, build = take_apart(params)
            inputs = traced_inputs(tape, params, leaves)
            vectors = vectors_like(params, v, "v", "params")
            outs, build_outs = outputs(name, tape, f(build(inputs), *args, **kwargs))
            values = [_value(tape, y) for y in outs]
            ends = [y for y in outs if type(y) is Traced and y.tape is tape]
            with underflow_ignored():
                carry_forth(tape.nodes, [y.node for y in ends], [x.node for x in inputs], vectors)
            found = iter(own(name, tape, ends))
            tangents = [_zeros(y) if y is value else next(found) for y, value in zip(outs, values, strict=True)]
        finally:
            tape.close()
        return build_outs(values), build_outs(tangents)

    differentiated.__signature__ = with_vector(f)  # type: ignore[attr-defined]
    return differentiated


class WayBack:
    """The way back of a tape, walked with traced gradients of ``outs``: what they pull to is linear in them.

    ``seeds`` are the gradients, ``pulled`` what came of them for each input, None for what does not depend on them,
    and ``tape`` holds the gates that they went through. It is to be closed.
    """

    def __init__(self, tape: Tape, outs: list[Traced], inputs: list[Traced]) -> None:
        self.tape = Tape()
        try:
            self.seeds = [begin(self.tape, np.ones(y.shape, y.dtype)[()]) for y in outs]
            for y, g in zip(outs, self.seeds, strict=True):
                seed(y.node, g)
            with np.errstate(all="ignore"):  # the values are of no use, as only the gates are
                walk_back(tape.nodes)
            pulled = [x.node.grad for x in inputs]
            self.pulled = [w if type(w) is Traced and w.tape is self.tape else None for w in pulled]
        except BaseException:
            self.tape.close()
            raise


def outputs(name: str, tape: Tape, tree: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """Return the arrays of a result, and the function that puts others in their places."""
    leaves, build = take_apart(tree)
    return [array_result(name, tape, y, complex_too=True) for y in leaves], build


def elementwise_grad(f: Callable[P, Any], argnums: Argnums = 0) -> Callable[P, Any]:
    """Return a function that gives the gradient of the sum of all that ``f`` computes.

    Where each element of the result depends on one element of the argument, as in a function of NumPy's arithmetic,
    that is the derivative of ``f`` at each element. ``argnums`` is that of :func:`value_and_grad`.

    Arguments:
        f: a function that computes an array.
        argnums: that of :func:`value_and_grad`.

    Raises TypeError or ValueError as :func:`value_and_grad` does.

    >>> import numpy as np, gdcore as gd
    >>> gd.elementwise_grad(np.square)(np.array([1.0, 2.0, 3.0]))
    array([2., 4., 6.])
    """
    name_of(f)

    @wraps(f)
    def total(*args: P.args, **kwargs: P.kwargs) -> Any:
        return np.sum(f(*args, **kwargs))

    return grad(total, argnums)
