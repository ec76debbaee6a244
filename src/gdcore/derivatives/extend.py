"""What a user adds to the circuit: gates of their own, constants, and blocks that are computed again."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from ..arguments import flag
from ..trees import flatten, rebuild
from ._back import walk_back
from ._ends import begin
from ._gate import Gate, Vjp, check_result, leave_node
from ._tape import Node, Pull, Tape
from ._traced import Traced, real
from .foreign import UserGate
from .gates import dispatched, register
from .refusals import GATED

P = ParamSpec("P")
R = TypeVar("R")


def gate(function: Callable[P, R], *vjps: Vjp | None, replace: bool = False) -> Callable[P, R]:
    """Return ``function`` as a gate: the function to call, which takes part in derivatives like any other.

    Arguments:
        function: any function of arrays that returns an array of floats or complex numbers, such as compiled code,
            or several, in a tuple, a list or another tree. It is given plain arrays. If it is a function of NumPy,
            or a ufunc such as SciPy's, or a method of one such as ``np.add.reduce``, traced values go through the
            gate wherever the function itself is called. NumPy does not dispatch any other, such as one of your own
            or ``scipy.linalg.expm``: then it is what is returned that is to be called, and ``function`` itself
            stays as it is.
        vjps: one for each positional argument, or None for an argument that is never differentiated.
            ``vjp(ans, *args)``, where ``ans = function(*args)``, returns the function that takes the gradient ``g``
            by ``ans`` to the gradient by that argument, which has the shape of the argument; for a ufunc, that of
            ``ans`` will do. An argument that is a list or another tree of arrays has such a tree of gradients; a
            result that is one has ``g`` as such a tree, with zeros for what has no influence. To be differentiated
            again a vjp must be made of functions that have gates. Of complex numbers it takes and gives
            ``dL/dx + i dL/dy``: ``g * np.conj(derivative)``, where there is one.
        replace: whether the gate takes the place of gdcore's own, everywhere: in operators, methods and other names
            of the function too. A user's own gate may always be registered anew.

    Raises TypeError for what is not callable. Raises ValueError for a function that gdcore has a gate for, unless
    that is to be replaced, and where it cannot be: for gdcore's own functions, and for those that give no floats.

    >>> import numpy as np, gdcore as gd
    >>> cube = gd.gate(lambda x: x**3, lambda ans, x: lambda g: g * 3 * x**2)
    >>> gd.grad(cube)(2.0)
    array(12.)
    >>> gd.grad(gd.grad(cube))(2.0)
    array(12.)
    >>> polar = gd.gate(
    ...     lambda x, y: (np.hypot(x, y), np.arctan2(y, x)),
    ...     lambda ans, x, y: lambda g: (g[0] * x - g[1] * y / ans[0]) / ans[0],
    ...     lambda ans, x, y: lambda g: (g[0] * y + g[1] * x / ans[0]) / ans[0],
    ... )
    >>> gd.grad(lambda x: polar(x, 4.0)[0])(3.0)
    array(0.6)
    """
    if not callable(function):
        raise TypeError(f"function: expected a function, got {type(function).__name__}")
    if not vjps:
        raise TypeError("vjps: expected one for each argument of the function, got none")
    for i, vjp in enumerate(vjps):
        if vjp is not None and not callable(vjp):
            raise TypeError(f"vjps[{i}]: expected a function or None, got {type(vjp).__name__}")
    new = UserGate(function, vjps)
    register(function, new, replace=flag("replace", replace))
    if hasattr(function, "__code__") and not dispatched(function):
        GATED[function.__code__] = new.name
    return new


def stop_gradient(x: R) -> R:
    """Return ``x``, an array or any tree of arrays, as a constant of all derivatives in progress.

    Arguments:
        x: an array, or a tree of arrays.

    Raises nothing: what is traced by no derivative is returned as it is.

    >>> import gdcore as gd
    >>> gd.grad(lambda x: x * gd.stop_gradient(x))(3.0)
    array(3.)
    """
    constants: R = rebuild(x, map(real, flatten(x)))
    return constants


def rematerialise(f: Callable[P, R]) -> Callable[P, R]:
    """Return ``f`` as one gate that keeps its arguments only, and computes ``f`` again on the way back.

    This halves the speed of the block and frees the memory of all that happens inside. ``f`` takes arrays or trees
    of arrays and returns one array; it has to give the same when it is called again, and a traced value that it
    uses has to be among its arguments.

    Arguments:
        f: a function of arrays or trees of arrays, which returns one array.

    Raises ValueError, when it is called, for a traced value that ``f`` uses and that is none of its arguments.

    >>> import numpy as np, gdcore as gd
    >>> def layer(h, w):
    ...     return np.tanh(h @ w)
    >>> gd.grad(lambda w: gd.rematerialise(layer)(np.eye(2), w).sum())(np.zeros((2, 2)))
    array([[1., 1.],
           [1., 1.]])
    """
    if not callable(f):
        raise TypeError(f"f: expected a function, got {type(f).__name__}")
    named = Gate(f"gd.rematerialise({getattr(f, '__name__', type(f).__name__)})", f, ())

    @wraps(f)
    def block(*args: P.args, **kwargs: P.kwargs) -> Any:
        trees = (args, kwargs)
        leaves = flatten(trees)
        tape: Any = max((x.tape for x in leaves if type(x) is Traced), key=lambda tape: tape.level, default=None)
        if tape is None:
            return f(*args, **kwargs)
        at = [i for i, x in enumerate(leaves) if type(x) is Traced and x.tape is tape]
        nodes = [leaves[i].node for i in at]
        for i in at:
            leaves[i] = leaves[i].value
        replay = _Replay(f, named.name, trees, leaves, at)
        ans = replay.run(leaves)
        if type(ans) is Traced and ans.tape.level >= tape.level:
            raise ValueError(
                f"{named.name}: expected all traced values that the function uses among its arguments, "
                f"got one from outside"
            )
        check_result(named, ans)
        return leave_node(tape, named, ans, tuple((node, replay.pull(k)) for k, node in enumerate(nodes)))

    return block


class _Replay:
    """A block of the circuit that can be run again: the function and its arguments."""

    def __init__(self, f: Any, name: str, trees: Any, leaves: list[Any], at: list[int]) -> None:
        self.f = f
        self.name = name
        self.shape = rebuild(trees, iter([None] * len(leaves)))
        self.leaves = leaves
        self.at = at
        self.g: Any = None
        self.grads: list[Any] = []

    def run(self, leaves: list[Any]) -> Any:
        args, kwargs = rebuild(self.shape, iter(leaves))
        return self.f(*args, **kwargs)

    def pull(self, k: int) -> Pull:
        def pull(g: Any) -> Any:
            if self.g is not g:
                self.grads = self.pull_all(g)
                self.g = g
            return self.grads[k]

        return pull

    def pull_all(self, g: Any) -> list[Any]:
        """Run the block once more, now on a tape, and carry ``g`` back through it to all its arguments."""
        tape = Tape()
        try:
            leaves = list(self.leaves)
            nodes: list[Node] = []
            for i in self.at:
                leaves[i] = begin(tape, leaves[i])
                nodes.append(leaves[i].node)
            ans = self.run(leaves)
            if type(ans) is Traced and ans.tape is tape:
                ans.node.grad = g
                del ans
                walk_back(tape.nodes)
        finally:
            tape.close()
        grads = []
        for i, node in zip(self.at, nodes, strict=True):
            g = node.grad
            if g is None:
                g = np.zeros(self.leaves[i].shape, self.leaves[i].dtype)
            elif tape.foreign and type(g) is not Traced:
                g = np.array(g)  # which a user's gate may hold on to
            grads.append(g)
        return grads
