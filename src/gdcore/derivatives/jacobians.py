"""Derivatives of functions that compute arrays: the Jacobian, by rows or by columns, and the Hessian."""

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, Literal, ParamSpec, TypeVar, overload

import numpy as np

from ..arguments import flag
from ..trees import flatten, rebuild, take_apart
from ._back import underflow_ignored, walk_back_again
from ._tape import Node, Tape
from ._traced import Traced, real
from .choosing import Argnums, checked_argnums, choose, name_of
from .ends import array_result, pair, plain, refuse_foreign, traced_inputs
from .operators import grad
from .vjps import WayBack

P = ParamSpec("P")
Aux = TypeVar("Aux")
Mode = Literal["forward", "reverse"] | None
MODES: Final = ("forward", "reverse", None)

MOST_TOGETHER: Final = 1 << 16
"""Elements of the largest gradient that is pulled back together: more than fit in a cache are slower."""


@overload
def jacobian(
    f: Callable[P, Any], argnums: Argnums = 0, has_aux: Literal[False] = False, *, mode: Mode = None
) -> Callable[P, Any]: ...
@overload
def jacobian(
    f: Callable[P, tuple[Any, Aux]], argnums: Argnums = 0, *, has_aux: Literal[True], mode: Mode = None
) -> Callable[P, tuple[Any, Aux]]: ...
def jacobian(
    f: Callable[P, Any], argnums: Argnums = 0, has_aux: bool = False, *, mode: Mode = None
) -> Callable[P, Any]:
    """Return a function that gives the Jacobian of ``f``: the derivative of each output by each input.

    ``f`` computes an array of any shape from its first argument, as for :func:`value_and_grad`, whose ``argnums``
    and ``has_aux`` these are; with ``has_aux=True`` it gives ``jacobian, aux``. The Jacobian of an output of shape
    (m,) by an input of shape (n,) is (m, n), and in general of the output's shape followed by the input's; for a
    tree of inputs it is a tree of those.

    The function runs once. With ``mode="reverse"`` the basis vectors of the output are pulled back, one for each
    row; with ``mode="forward"`` those of the inputs are pushed forward, as :func:`jvp` does, one for each column.
    The first vector goes alone, which shows how large the gradients get, and the others together as far as they fit
    in a cache. None takes the way that is cheaper: forward, where there are far more outputs than inputs, unless
    there is a gate of a user's on it, whose vjp need not be made of gates.

    Raises TypeError for a result that is no array, and what :func:`value_and_grad` raises.

    Arguments:
        f: a function that computes an array.
        argnums: that of :func:`value_and_grad`.
        has_aux: that of :func:`value_and_grad`.
        mode: ``"forward"``, ``"reverse"`` or None, for the cheaper one.

    >>> import numpy as np, gdcore as gd
    >>> gd.jacobian(lambda v: np.stack([v[0] ** 2 * v[1], 5 * v[0]]))(np.array([2.0, 3.0]))
    array([[12.,  4.],
           [ 5.,  0.]])
    """
    name, places, has_aux = name_of(f), checked_argnums(argnums), flag("has_aux", has_aux)
    if mode not in MODES:
        raise ValueError(f"mode: expected 'forward', 'reverse' or None, got {mode!r}")

    @wraps(f)
    def differentiated(*args: P.args, **kwargs: P.kwargs) -> Any:
        params, call = choose(f, places, args, kwargs)
        tape = Tape()
        try:
            leaves, build = take_apart(params)
            inputs = traced_inputs(tape, params, leaves, places)
            ans: Any = call(build(inputs))
            aux: Any = None
            if has_aux:
                ans, aux = pair(name, ans)
                aux = plain(name, tape, aux)
            ans = array_result(name, tape, ans)
            if type(ans) is not Traced or ans.tape is not tape:
                jacobians = [np.zeros(np.shape(ans) + x.shape, x.dtype) for x in inputs]
            elif mode == "forward" or (mode is None and _forward_is_cheaper(tape, ans, inputs)):
                jacobians = _by_columns(tape, ans, inputs)
            else:
                jacobians = _by_rows(tape, ans, inputs)
            for whole in jacobians:
                refuse_foreign(name, tape.level, whole)
        finally:
            tape.close()
        return (build(jacobians), aux) if has_aux else build(jacobians)

    return differentiated


def _forward_is_cheaper(tape: Tape, ans: Traced, inputs: list[Traced]) -> bool:
    # Rows that all fit in a cache cost two walks back; to record the way back costs as much.
    rows, columns = ans.size, sum(x.size for x in inputs)
    known = not tape.foreign and all(x.dtype.kind == "f" for x in inputs)
    return known and rows > 2 * columns and rows**2 > MOST_TOGETHER


def _by_rows(tape: Tape, ans: Traced, inputs: list[Traced]) -> list[Any]:
    """Return the Jacobian by each input, from what the basis vectors of the output pull back to."""
    with underflow_ignored():
        stacks = _pull_basis(tape, ans, [x.node for x in inputs])
    jacobians = []
    for x, stack in zip(inputs, stacks, strict=True):
        jacobians.append(_joined(stack, (ans.size, *x.shape), x.dtype).reshape(ans.shape + x.shape))
    return jacobians


def _by_columns(tape: Tape, ans: Traced, inputs: list[Traced]) -> list[Any]:
    """Return the Jacobian by each input, from what its basis vectors push forward to: back along the way back."""
    if any(x.dtype.kind != "f" for x in inputs):
        raise TypeError("mode: expected 'reverse' for complex parameters, got 'forward'")
    back = WayBack(tape, [ans], inputs)
    jacobians: list[Any] = []
    try:
        for x, w in zip(inputs, back.pulled, strict=True):
            if w is None:
                jacobians.append(np.zeros(ans.shape + x.shape, x.dtype))
                continue
            with underflow_ignored():
                (stack,) = _pull_basis(back.tape, w, [back.seeds[0].node])
            columns = _joined(stack, (x.size, *ans.shape), ans.dtype)
            whole = np.moveaxis(columns, 0, -1).reshape(ans.shape + x.shape).astype(x.dtype)
            jacobians.append(whole if type(whole) is Traced else np.asarray(whole, order="C"))
    finally:
        back.tape.close()
    return jacobians


def _pull_basis(tape: Tape, ans: Traced, nodes: list[Node]) -> list[list[tuple[int, Any]]]:
    """Return for each input what the basis vectors of the output pull back to: pairs of the first row and rows.

    The first vector goes alone and shows how large the gradients get: that says how many of the rest go together.
    """
    m = ans.size
    found: list[list[tuple[int, Any]]] = [[] for _ in nodes]
    start, together = 0, 1
    while start < m:
        stop = min(start + together, m)
        seeds = np.zeros((stop - start, m), ans.dtype)
        seeds[np.arange(stop - start), np.arange(start, stop)] = 1
        ans.node.grad = seeds.reshape(stop - start, *ans.shape) if together > 1 else seeds.reshape(ans.shape)[()]
        largest = walk_back_again(reversed(tape.nodes), stacked=together > 1)
        for node, rows in zip(nodes, found, strict=True):
            if node.grad is not None:
                rows.append((start, node.grad if together > 1 else node.grad[None]))
                node.grad, node.owned = None, False
        if start == 0:
            # About as many go together as fit, in parts of one size: a small last part would be slow.
            parts = max(1, round((m - 1) * largest / MOST_TOGETHER)) if MOST_TOGETHER else m
            together = max(1, -(-(m - 1) // parts))
        start = stop
    return found


def _joined(stack: list[tuple[int, Any]], shape: tuple[int, ...], dtype: Any) -> Any:
    """Return the rows that were pulled back as one array; those that were not are zero."""
    if any(type(rows) is Traced for _, rows in stack):
        done = 0
        parts = []
        for start, rows in stack:
            parts += [np.zeros((start - done, *shape[1:]), dtype), rows]
            done = start + len(rows)
        return np.concatenate([*parts, np.zeros((shape[0] - done, *shape[1:]), dtype)])
    whole = np.zeros(shape, dtype)
    for start, rows in stack:
        whole[start : start + len(rows)] = rows
    return whole


@overload
def hessian(f: Callable[P, Any], argnums: Argnums = 0, has_aux: Literal[False] = False) -> Callable[P, Any]: ...
@overload
def hessian(
    f: Callable[P, tuple[Any, Aux]], argnums: Argnums = 0, *, has_aux: Literal[True]
) -> Callable[P, tuple[Any, Aux]]: ...
def hessian(f: Callable[P, Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[P, Any]:
    """Return a function that gives the Hessian of ``f``, its second derivatives by the first argument.

    ``f`` computes one real number, as for :func:`value_and_grad`, whose ``argnums`` and ``has_aux`` these are; with
    ``has_aux=True`` it gives ``hessian, aux``. The Hessian by an input of shape (n,) is (n, n),
    and in general of the input's shape twice; for a tree of inputs it is a tree whose leaves are trees:
    ``hessian(f)(params)["w"]["b"]`` has the shape of ``w`` followed by that of ``b``. It is the Jacobian of the
    gradient.

    Arguments:
        f: that of :func:`value_and_grad`.
        argnums: that of :func:`value_and_grad`.
        has_aux: that of :func:`value_and_grad`.

    Raises TypeError or ValueError as :func:`value_and_grad` does.

    >>> import numpy as np, gdcore as gd
    >>> gd.hessian(lambda v: v[0] ** 2 * v[1])(np.array([2.0, 3.0]))
    array([[6., 4.],
           [4., 0.]])
    """
    name, places, has_aux = name_of(f), checked_argnums(argnums), flag("has_aux", has_aux)
    gradient: Callable[..., Any] = grad(f, argnums, has_aux=has_aux)  # type: ignore[call-overload]

    @wraps(f)
    def flat_gradient(*args: P.args, **kwargs: P.kwargs) -> tuple[Any, Any]:
        grads, aux = gradient(*args, **kwargs) if has_aux else (gradient(*args, **kwargs), None)
        return _flat([g.reshape(-1) for g in flatten(grads)]), aux

    rows_of = jacobian(flat_gradient, argnums, has_aux=True, mode="reverse")

    @wraps(f)
    def differentiated(*args: P.args, **kwargs: P.kwargs) -> Any:
        params, _ = choose(f, places, args, kwargs)
        leaves = flatten(params)
        if any(np.asarray(real(leaf)).dtype.char in "FD" for leaf in leaves):
            raise TypeError(
                f"{name}: expected real parameters for a Hessian, got complex ones; gd.hvp takes them, and so does "
                f"a function of their real and imaginary parts"
            )
        rows, aux = rows_of(*args, **kwargs)
        columns = flatten(rows)
        start = 0
        trees = []
        for leaf in leaves:
            size, shape = math.prod(np.shape(leaf)), np.shape(leaf)
            parts = [column[start : start + size] for column in columns]
            blocks = [part.reshape(shape + part.shape[1:]) for part in parts]
            trees.append(rebuild(params, iter(blocks if len(leaves) == 1 else [np.copy(b) for b in blocks])))
            start += size
        whole = rebuild(params, iter(trees))
        return (whole, aux) if has_aux else whole

    return differentiated


def _flat(parts: list[Any]) -> Any:
    return np.concatenate(parts) if parts else np.zeros(0)
