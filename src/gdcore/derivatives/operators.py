"""Derivatives of functions of trees of arrays: gradient, Jacobian, Hessian, and how to check them."""

import math
from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, Concatenate, Final, NoReturn, ParamSpec, TypeVar

import numpy as np

from ..arguments import describe
from ..trees import Structure, flatten, rebuild
from ._back import carry_back, underflow_ignored, walk_back_again
from ._ends import begin, gradients_of, inputs_of, take_apart
from ._tape import Node, Tape
from ._traced import Traced, real
from .joining import joined

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Further = ParamSpec("Further")
"""What a function takes behind the argument that is differentiated."""

REAL: Final = "biuf"
"""The kinds of dtypes that a result may have."""
DTYPES: Final = {np.dtype(np.float32), np.dtype(np.float64)}
LEAVES: Final = {np.ndarray, np.float32, np.float64, Traced}


def value_and_grad(f: Callable[P, R]) -> Callable[P, tuple[R, Any]]:
    """Return a function that gives the value of ``f`` and its gradient by the first argument.

    ``value, grads = value_and_grad(f)(params, *args, **kwargs)``, where ``value = f(params, *args, **kwargs)``.

    Arguments:
        f: a function that computes one real number with NumPy. It may not write to its first argument.

    The function that is returned takes ``params``, a float or an array of float32 or float64, or a tree of those:
    nested dicts, lists and tuples. ``grads`` has its structure, with an array of the dtype and shape of each leaf,
    in memory of its own; zeros for a leaf that has no influence.

    It raises TypeError for other leaves, and for what cannot be traced: a function of NumPy without a gate, writing
    to a traced array, or making a Python number or bool of it. It raises ValueError for a result that is no scalar.

    >>> import numpy as np, gdcore as gd
    >>> params = {"w": np.array([1.0, 2.0]), "b": 3.0}
    >>> def f(p, x):
    ...     return np.sum(p["w"] * x) + p["b"] ** 2
    >>> value, grads = gd.value_and_grad(f)(params, np.array([4.0, 5.0]))
    >>> value
    np.float64(23.0)
    >>> grads
    {'w': array([4., 5.]), 'b': array(6.)}

    The method is backpropagation: Rumelhart, Hinton, Williams (1986), "Learning representations by back-propagating
    errors".
    """
    name = _name(f)

    @wraps(f)
    def differentiated(*args: P.args, **kwargs: P.kwargs) -> tuple[R, Any]:
        params, others = first_of(f, args, kwargs)
        tape = Tape()
        try:
            leaves, build = take_apart(params)
            inputs = _inputs(tape, params, leaves)
            ans: Any = _result(f(build(inputs), *others, **kwargs))
            value = _scalar(name, tape, ans)
            if type(ans) is Traced and ans.tape is tape:
                end, ans = ans.node, None
                carry_back(tape, end, value.dtype)
            grads = _own(name, tape, inputs)
        finally:
            tape.close()
        return value, build(grads)

    return differentiated


def grad(f: Callable[P, Any]) -> Callable[P, Any]:
    """Return a function that gives the gradient of ``f`` by the first argument, as :func:`value_and_grad` does.

    >>> import gdcore as gd
    >>> gd.grad(lambda x: x**3)(2.0)
    array(12.)
    >>> gd.grad(gd.grad(lambda x: x**3))(2.0)
    array(12.)
    """
    differentiated = value_and_grad(f)

    @wraps(f)
    def gradient(*args: P.args, **kwargs: P.kwargs) -> Any:
        return differentiated(*args, **kwargs)[1]

    return gradient


def jacobian(f: Callable[P, Any]) -> Callable[P, Any]:
    """Return a function that gives the Jacobian of ``f``: the derivative of each output by each input.

    ``f`` computes an array of any shape from its first argument, as for :func:`value_and_grad`. The Jacobian of an
    output of shape (m,) by an input of shape (n,) is (m, n), and in general of the output's shape followed by the
    input's; for a tree of inputs it is a tree of those.

    The function runs once. The first basis vector of the output is pulled back alone, which shows how large the
    gradients get, and the others together as far as they fit in a cache.

    Raises TypeError for a result that is no array, and what :func:`value_and_grad` raises.

    >>> import numpy as np, gdcore as gd
    >>> gd.jacobian(lambda v: np.stack([v[0] ** 2 * v[1], 5 * v[0]]))(np.array([2.0, 3.0]))
    array([[12.,  4.],
           [ 5.,  0.]])
    """
    name = _name(f)

    @wraps(f)
    def differentiated(*args: P.args, **kwargs: P.kwargs) -> Any:
        params, others = first_of(f, args, kwargs)
        tape = Tape()
        try:
            leaves, build = take_apart(params)
            inputs = _inputs(tape, params, leaves)
            ans = _result(f(build(inputs), *others, **kwargs))
            if type(ans) is not Traced and not isinstance(ans, np.ndarray | np.generic | float | int):
                raise TypeError(
                    f"{name}: expected an array, got {type(ans).__name__}; np.stack makes one of several"
                )
            if isinstance(ans, np.ndarray) and ans.dtype.kind not in REAL:
                raise TypeError(f"{name}: expected an array of real numbers, got {describe(ans)}")
            shape = np.shape(ans)
            if type(ans) is Traced and ans.tape is tape:
                _refuse_foreign(name, tape, ans.value)
                with underflow_ignored():
                    stacks = _pull_basis(tape, ans, [x.node for x in inputs])
            else:
                _refuse_foreign(name, tape, ans)
                stacks = [[] for _ in inputs]
            for stack in stacks:
                for _, rows in stack:
                    _refuse_foreign(name, tape, rows)
            jacobians = []
            for x, stack in zip(inputs, stacks, strict=True):
                whole = _joined(stack, (math.prod(shape), *x.shape), x.dtype)
                jacobians.append(whole.reshape(shape + x.shape))
        finally:
            tape.close()
        return build(jacobians)

    return differentiated


MOST_TOGETHER: Final = 1 << 16
"""Elements of the largest gradient that is pulled back together: more than fit in a cache are slower."""


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


def hessian(f: Callable[P, Any]) -> Callable[P, Any]:
    """Return a function that gives the Hessian of ``f``, its second derivatives by the first argument.

    ``f`` computes one real number, as for :func:`value_and_grad`. The Hessian by an input of shape (n,) is (n, n),
    and in general of the input's shape twice; for a tree of inputs it is a tree whose leaves are trees:
    ``hessian(f)(params)["w"]["b"]`` has the shape of ``w`` followed by that of ``b``. It is the Jacobian of the
    gradient.

    >>> import numpy as np, gdcore as gd
    >>> gd.hessian(lambda v: v[0] ** 2 * v[1])(np.array([2.0, 3.0]))
    array([[6., 4.],
           [4., 0.]])
    """
    gradient = grad(f)

    def flat_gradient(*args: P.args, **kwargs: P.kwargs) -> Any:
        return np.concatenate([g.reshape(-1) for g in flatten(gradient(*args, **kwargs))])

    rows_of = jacobian(flat_gradient)

    @wraps(f)
    def differentiated(*args: P.args, **kwargs: P.kwargs) -> Any:
        params, others = first_of(f, args, kwargs)
        leaves = flatten(params)
        if not leaves:
            return rebuild(params, iter(()))
        columns = flatten(rows_of(params, *others, **kwargs))
        start = 0
        trees = []
        for leaf in leaves:
            size, shape = math.prod(np.shape(leaf)), np.shape(leaf)
            parts = [column[start : start + size] for column in columns]
            blocks = [part.reshape(shape + part.shape[1:]) for part in parts]
            trees.append(rebuild(params, iter(blocks if len(leaves) == 1 else [np.copy(b) for b in blocks])))
            start += size
        return rebuild(params, iter(trees))

    return differentiated


def hvp(f: Callable[Concatenate[T, Further], Any]) -> Callable[Concatenate[T, T, Further], Any]:
    """Return a function that gives the Hessian of ``f`` times a tree ``v``, at the cost of a few gradients.

    ``hvp(f)(params, v, *args, **kwargs)`` is the gradient of ``sum(grad(f)(params) * v)``: a tree like ``params``,
    as ``v`` has to be. Raises TypeError or ValueError for a ``v`` of another structure or other shapes.

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
            return sum((np.sum(g * x) for g, x in zip(grads, vectors, strict=True)), 0.0)

        return grad(along)(params)

    product.__signature__ = _with_vector(f)  # type: ignore[attr-defined]
    return product


def first_of(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    """Return the argument that is differentiated, and the others by position; a first one by name is taken out."""
    if args:
        return args[0], args[1:]
    try:
        name, first = next(iter(signature(f).parameters.items()), ("", None))
    except ValueError:
        name, first = "", None
    if name not in kwargs or first is None or first.kind is not Parameter.POSITIONAL_OR_KEYWORD:
        raise TypeError(f"{_name(f)}: expected the argument that is differentiated by position, got none")
    return kwargs.pop(name), ()


def _with_vector(f: Callable[..., Any]) -> Signature | None:
    """Return the signature of :func:`hvp` of ``f``: that of ``f`` with ``v`` behind its first argument."""
    only = Parameter.POSITIONAL_ONLY
    try:
        first, *others = signature(f).parameters.values()
        return signature(f).replace(parameters=[first.replace(kind=only), Parameter("v", only), *others])
    except ValueError:  # it is compiled, has no argument, or has a v of its own
        return None


def _name(f: Any) -> str:
    if not callable(f):
        raise TypeError(f"f: expected a function, got {type(f).__name__}")
    return getattr(f, "__name__", type(f).__name__)


def _inputs(tape: Tape, params: Any, leaves: list[Any]) -> list[Traced]:
    usual = inputs_of(tape, leaves)
    if usual is not None:
        return usual
    inputs = []
    for leaf in leaves:
        kind = type(leaf)
        value = leaf
        if kind is float:
            value = np.float64(leaf)
        elif kind is np.memmap:
            value = leaf.view(np.ndarray)
        elif kind not in LEAVES:
            _refuse(params, leaf)
        if value.dtype not in DTYPES:
            _refuse(params, leaf)
        if kind is np.ndarray and not value.ndim:
            value = value[()]  # arithmetic is several times faster on NumPy's scalars than on its arrays
        inputs.append(begin(tape, value))
    return inputs


def _refuse(params: Any, leaf: Any) -> NoReturn:
    where = next(
        label
        for label, other in zip(Structure(params, "params").labels, flatten(params), strict=True)
        if other is leaf
    )
    got = describe(real(leaf))
    hint = ""
    if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "iub":
        hint = "; convert it with .astype(np.float64)"
    raise TypeError(f"params{where}: expected an array of float32 or float64 or a float, got {got}{hint}")


def _result(ans: Any) -> Any:
    """Return the result of a function, joined if it is an array of traced values."""
    return joined(ans) if type(ans) is np.ndarray and ans.dtype.char == "O" else ans


def _scalar(name: str, tape: Tape, ans: Any) -> Any:
    """Return the value of a result that is one real number."""
    value = ans.value if type(ans) is Traced and ans.tape is tape else ans
    if isinstance(value, np.floating):
        return value
    if type(value) is Traced:
        _refuse_foreign(name, tape, value)
        if value.ndim:
            raise ValueError(
                f"{name}: expected a scalar result, got {describe(real(value))}; sum it, or use gd.jacobian"
            )
        return value
    if not isinstance(value, np.ndarray | np.generic | float | int) or np.asarray(value).dtype.kind not in REAL:
        raise TypeError(f"{name}: expected a scalar result, one real number, got {describe(value)}")
    if np.ndim(value):
        raise ValueError(
            f"{name}: expected a scalar result, got {describe(real(value))}; sum it, or use gd.jacobian"
        )
    return value[()] if isinstance(value, np.ndarray) else value


def _refuse_foreign(name: str, tape: Tape, x: Any) -> None:
    """Raise ValueError for what is traced, but by no derivative in progress around this one."""
    while type(x) is Traced:
        if not x.tape.is_open or x.tape.level >= tape.level:
            raise ValueError(
                f"{name}: expected a result that is traced by this derivative, got {describe(real(x))} that has "
                f"escaped from another; a derivative keeps nothing but what its function returns"
            )
        x = x.value


def _own(name: str, tape: Tape, inputs: list[Traced]) -> list[Any]:
    """Return the gradients, each in memory of its own."""
    usual = None if tape.foreign else gradients_of(inputs)
    if usual is not None:
        return usual
    grads: list[Any] = []
    seen: set[int] = set()
    for x in inputs:
        g = x.node.grad
        if g is None:
            g = np.zeros(x.shape, x.dtype)
        elif type(g) is np.ndarray:
            # What the pulls of gdcore's gates return is either new or a view: of g, which two of them may share.
            if g.base is not None or id(g) in seen or tape.foreign or not g.flags.c_contiguous:
                g = np.array(g, order="C")
            seen.add(id(g))
        elif type(g) is Traced:
            _refuse_foreign(name, tape, g)
        else:
            g = np.asarray(g)
        grads.append(g)
    return grads
