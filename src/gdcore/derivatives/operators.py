"""Derivatives of functions that compute one number: the gradient, and the Hessian times a vector."""

from collections.abc import Callable, Sequence
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, overload

import numpy as np

from ..arguments import describe, flag
from ..trees import Structure, flatten
from ._back import carry_back
from ._ends import take_apart
from ._gate import conj
from ._tape import Tape
from ._traced import Traced, real
from .choosing import Argnums, checked_argnums, choose, name_of
from .ends import own, pair, plain, result, scalar, traced_inputs
from .lookups import LookUps, checked_names

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Aux = TypeVar("Aux")
Further = ParamSpec("Further")
"""What a function takes behind the argument that is differentiated."""


@overload
def value_and_grad(
    f: Callable[P, R], argnums: Argnums = 0, has_aux: Literal[False] = False, rows: Sequence[str] = ()
) -> Callable[P, tuple[R, Any]]: ...
@overload
def value_and_grad(
    f: Callable[P, tuple[R, Aux]], argnums: Argnums = 0, *, has_aux: Literal[True], rows: Sequence[str] = ()
) -> Callable[P, tuple[tuple[R, Aux], Any]]: ...
def value_and_grad(
    f: Callable[P, Any], argnums: Argnums = 0, has_aux: bool = False, rows: Sequence[str] = ()
) -> Callable[P, Any]:
    """Return a function that gives the value of ``f`` and its gradient by the first argument.

    ``value, grads = value_and_grad(f)(params, *args, **kwargs)``, where ``value = f(params, *args, **kwargs)``.

    Arguments:
        f: a function that computes one real number with NumPy, or an array that holds one alone. It may not write
            to its first argument.
        argnums: the place of the argument that is differentiated, counted from 0, or from -1 for the last one that
            is given by position; or a list or tuple of places, for which the gradient is a tuple.
        has_aux: whether ``f`` returns a pair, the number and anything else that it has worked out, which is no part
            of the derivative: ``(value, aux), grads`` is what comes then. Arrays in ``aux``, alone or in a tree,
            are plain again.
        rows: names of leaves, as in an optimizer's state (``"param"`` for a lone array), of which ``f`` only looks
            rows up: ``E[index]`` with integers of any shape, ``np.take(E, index, axis=0)``, ``gd.embedding``. Their
            gradients are :class:`gdcore.Rows`: the rows looked up, one look-up after the other. The gradient of the
            whole array is never made. It cannot be differentiated again.

    The function that is returned takes ``params``, a number or an array of floats or complex numbers, or a tree of
    those: nested dicts, lists and tuples. ``grads`` has its structure, with an array of the dtype and shape of each
    leaf, in memory of its own; zeros for a leaf that has no influence. By a complex ``z = x + iy`` it is
    ``dL/dx + i dL/dy``.

    It raises TypeError for other leaves, and for what cannot be traced: a function of NumPy without a gate, writing
    to a traced array, or making a Python number or bool of it. It raises ValueError for a result that is no scalar,
    and for a place where no argument is given; and TypeError, with the name of the leaf and of what used it, where
    one of ``rows`` is used otherwise.

    >>> import numpy as np, gdcore as gd
    >>> params = {"w": np.array([1.0, 2.0]), "b": 3.0}
    >>> def f(p, x):
    ...     return np.sum(p["w"] * x) + p["b"] ** 2
    >>> value, grads = gd.value_and_grad(f)(params, np.array([4.0, 5.0]))
    >>> value
    np.float64(23.0)
    >>> grads
    {'w': array([4., 5.]), 'b': array(6.)}
    >>> gd.value_and_grad(f, argnums=1)(params, np.array([4.0, 5.0]))[1]
    array([1., 2.])
    >>> table = np.ones((1000, 2))
    >>> gd.value_and_grad(lambda table, i: np.sum(table[i] ** 2), rows=("param",))(table, np.array([7, 3, 7]))
    (np.float64(6.0), Rows(3 of 1000, float64 (3, 2)))

    The method is backpropagation: Rumelhart, Hinton, Williams (1986), "Learning representations by back-propagating
    errors".
    """
    name, places, has_aux = name_of(f), checked_argnums(argnums), flag("has_aux", has_aux)
    by_rows = checked_names(rows)

    @wraps(f)
    def differentiated(*args: P.args, **kwargs: P.kwargs) -> Any:
        params, call = choose(f, places, args, kwargs)
        tape = Tape()
        try:
            leaves, build = take_apart(params)
            inputs = traced_inputs(tape, params, leaves, places)
            lookups = LookUps(tape, params, inputs, by_rows) if by_rows else None
            ans: Any = call(build(inputs))
            aux: Any = None
            if has_aux:
                ans, aux = pair(name, ans)
                aux = plain(name, tape, aux)
            ans = scalar(name, tape, result(ans))
            value = ans
            if lookups is not None:
                lookups.take_off()
            if type(ans) is Traced and ans.tape is tape:
                value = ans.value
                end, ans = ans.node, None
                carry_back(tape, end, value.dtype)
            grads = lookups.grads(own(name, tape, lookups.others)) if lookups else own(name, tape, inputs)
        finally:
            tape.close()
        return ((value, aux) if has_aux else value), build(grads)

    return differentiated


@overload
def grad(
    f: Callable[P, Any], argnums: Argnums = 0, has_aux: Literal[False] = False, rows: Sequence[str] = ()
) -> Callable[P, Any]: ...
@overload
def grad(
    f: Callable[P, tuple[Any, Aux]], argnums: Argnums = 0, *, has_aux: Literal[True], rows: Sequence[str] = ()
) -> Callable[P, tuple[Any, Aux]]: ...
def grad(
    f: Callable[P, Any], argnums: Argnums = 0, has_aux: bool = False, rows: Sequence[str] = ()
) -> Callable[P, Any]:
    """Return a function that gives the gradient of ``f`` by the first argument, as :func:`value_and_grad` does.

    With ``has_aux=True`` it gives ``grads, aux``. ``rows`` is as there.

    Arguments:
        f: that of :func:`value_and_grad`.
        argnums: that of :func:`value_and_grad`.
        has_aux: that of :func:`value_and_grad`.
        rows: that of :func:`value_and_grad`.

    Raises TypeError or ValueError as :func:`value_and_grad` does.

    >>> import gdcore as gd
    >>> gd.grad(lambda x: x**3)(2.0)
    array(12.)
    >>> gd.grad(gd.grad(lambda x: x**3))(2.0)
    array(12.)
    >>> gd.grad(lambda x, y: x * y, argnums=(0, 1))(2.0, 3.0)
    (array(3.), array(2.))
    """
    differentiated: Callable[..., Any] = value_and_grad(f, argnums, has_aux=has_aux, rows=rows)  # type: ignore[call-overload]

    @wraps(f)
    def gradient(*args: P.args, **kwargs: P.kwargs) -> Any:
        value, grads = differentiated(*args, **kwargs)
        return (grads, value[1]) if has_aux else grads

    return gradient


def hvp(f: Callable[Concatenate[T, Further], Any]) -> Callable[Concatenate[T, T, Further], Any]:
    """Return a function that gives the Hessian of ``f`` times a tree ``v``, at the cost of a few gradients.

    ``hvp(f)(params, v, *args, **kwargs)`` is the gradient of ``sum(grad(f)(params) * v)``: a tree like ``params``,
    as ``v`` has to be. Raises TypeError or ValueError for a ``v`` of another structure or other shapes.

    Arguments:
        f: a function that computes one real number, as for :func:`value_and_grad`.

    >>> import numpy as np, gdcore as gd
    >>> gd.hvp(lambda v: v[0] ** 2 * v[1])(np.array([2.0, 3.0]), np.array([1.0, 0.0]))
    array([6., 4.])
    """
    gradient = grad(f)

    @wraps(f)
    def product(params: T, v: T, /, *args: Further.args, **kwargs: Further.kwargs) -> Any:
        structure = Structure(params, "params")
        vectors = structure.leaves(v, "v")
        for label, leaf, vector in zip(structure.labels, flatten(params), vectors, strict=True):
            if np.shape(leaf) != np.shape(vector):
                raise ValueError(f"v{label}: expected shape {np.shape(leaf)}, got {describe(real(vector))}")

        def along(params: Any) -> Any:
            grads = flatten(gradient(params, *args, **kwargs))
            return sum((np.sum(conj(g) * x).real for g, x in zip(grads, vectors, strict=True)), 0.0)

        return grad(along)(params)

    product.__signature__ = with_vector(f)  # type: ignore[attr-defined]
    return product


def with_vector(f: Callable[..., Any]) -> Signature | None:
    """Return the signature of ``f`` with ``v`` behind its first argument."""
    only = Parameter.POSITIONAL_ONLY
    try:
        first, *others = signature(f).parameters.values()
        return signature(f).replace(parameters=[first.replace(kind=only), Parameter("v", only), *others])
    except ValueError:  # it is compiled, has no argument, or has a v of its own
        return None
