"""The circuit: gates, and the ways of traced values through them.

A gate computes the real value of a function and leaves a node on the tape of the derivative in progress.

Each derivative has a tape of its own, and a tape begun later is of a higher level. A gate that meets values of
several tapes belongs to the highest; the values of the lower ones it treats as real. So what a gate computes may
itself be traced, and a derivative can be differentiated again.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NoReturn

import numpy as np

from ..arguments import describe
from ..trees import BRANCHES
from .tape import Node, Pull, Tape
from .traced import Traced, refuse_options

Vjp = Callable[..., Pull]
"""``vjp(ans, *args)`` returns the pull to one argument, where ``ans`` is what the gate gave for ``args``."""


class Gate:
    """One row of the table: a function of arrays, its forward and its vjps.

    ``vjps[i](ans, *args, **kwargs)`` returns the pull to ``args[i]``; the last one serves all further arguments if
    ``variadic``, and is then called as ``vjp(i, ans, *args, **kwargs)``. A pull returns ``g``, a view of it, or an
    array of its own; it takes gradients with further axes in front, if ``stacks``.

    ``saving(*args, **kwargs)``, if given, returns the result and what the vjps can use of its making: they get it
    as ``saved``, or None where a derivative is to be differentiated and so has to be made of gates.
    """

    __slots__ = ("foreign", "forward", "name", "saving", "stacks", "variadic", "vjps")

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        vjps: tuple[Vjp | None, ...],
        *,
        variadic: bool = False,
        stacks: bool = False,
        foreign: bool = False,
        saving: Callable[..., tuple[Any, Any]] | None = None,
    ) -> None:
        self.name = name
        self.forward = forward
        self.vjps = vjps
        self.variadic = variadic
        self.stacks = stacks
        self.foreign = foreign
        self.saving = saving

    def __repr__(self) -> str:
        return f"<gate {self.name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return ``forward(*args, **kwargs)``, and leave a node on the tape if an argument is traced."""
        tape: Any = None
        for x in args:
            if type(x) is Traced and (tape is None or x.tape.level > tape.level):
                tape = x.tape
        if kwargs:
            refuse_options(self.name, kwargs)
        if tape is None:
            return self.forward(*args, **kwargs)
        values = []
        nodes = []
        plain = True
        for i, x in enumerate(args):
            value = x
            if type(x) is Traced:
                if x.tape is tape:
                    value = x.value
                    nodes.append((i, x.node))
                plain = plain and type(value) is not Traced
            values.append(value)
        if not plain:
            ans = self(*values, **kwargs)
            if self.saving is not None:
                kwargs["saved"] = None
        elif self.saving is None:
            ans = self.forward(*values, **kwargs)
        else:
            ans, kwargs["saved"] = self.saving(*values, **kwargs)
        if type(ans) is float:
            ans = np.float64(ans)
        check_result(self, ans)
        links = [(node, self.pull(i, ans, values, kwargs)) for i, node in nodes]
        return leave_node(tape, self, ans, tuple(links))

    def pull(self, i: int, ans: Any, values: list[Any], kwargs: dict[str, Any]) -> Pull:
        """Return the pull to argument ``i``."""
        if self.variadic:
            vjp = self.vjps[-1]
            assert vjp is not None
            pull = vjp(i, ans, *values, **kwargs)
        else:
            vjp = self.vjps[i] if i < len(self.vjps) else None
            if vjp is None:
                self.refuse_argument(i)
            pull = vjp(ans, *values, **kwargs)
        return pull if values[i].dtype is ans.dtype else cast(pull, values[i].dtype)

    def refuse_argument(self, i: int) -> NoReturn:
        """Raise the TypeError for a traced argument that has no vjp."""
        raise TypeError(
            f"{self.name}: argument {i}: expected an array that is not differentiated, as its gate has no "
            f"vjp for this argument, got a traced one; gd.stop_gradient(x) makes it a constant"
        )


def leave_node(tape: Tape, gate: Any, ans: Any, links: tuple[tuple[Node, Pull], ...]) -> Traced:
    """Put a gate on the tape; return its traced result."""
    if gate.foreign:
        tape.foreign = True
    node = Node(gate, links)
    tape.append(node)
    return Traced(ans, tape, node)


def check_result(gate: Any, ans: Any) -> None:
    """Raise TypeError unless ``ans`` is of float32 or float64."""
    if type(ans) is Traced or (type(ans) is np.ndarray and ans.dtype.char in "fd"):
        return
    if not isinstance(ans, np.ndarray | np.generic) or ans.dtype.char not in "fd":
        hint = (
            "a gate gives one array: make one of a function that returns the one that is needed"
            if isinstance(ans, BRANCHES)
            else "are all arguments arrays of real numbers?"
        )
        raise TypeError(f"{gate.name}: expected a result of float32 or float64, got {describe(ans)}; {hint}")


def cast(pull: Pull, dtype: Any) -> Pull:
    """Return ``pull`` with its result in the dtype of the argument: float32 stays float32."""
    return lambda g: pull(g).astype(dtype)


def unary(gate: Gate, forward: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the way of one traced argument through an element-wise gate, with none of the questions of others."""
    (vjp,) = gate.vjps
    assert vjp is not None

    def apply(x: Any) -> Any:
        tape, value = x.tape, x.value
        ans = forward(value)
        node = Node(gate, ((x.node, vjp(ans, value)),))
        tape.append(node)
        return Traced(ans, tape, node)

    saving = gate.saving
    if saving is None:
        return apply

    def apply_saving(x: Any) -> Any:
        tape, value = x.tape, x.value
        ans, saved = (forward(value), None) if type(value) is Traced else saving(value)
        node = Node(gate, ((x.node, vjp(ans, value, saved=saved)),))
        tape.append(node)
        return Traced(ans, tape, node)

    return apply_saving


def fused(gate: Gate) -> Callable[[Any, Any], Any]:
    """Return the way of a first argument through a gate that saves; the second is most often a constant."""
    vjp = gate.vjps[0]
    saving = gate.saving
    assert vjp is not None
    assert saving is not None

    def apply(x: Any, y: Any) -> Any:
        if type(x) is not Traced or type(y) is Traced or type(x.value) is Traced:
            return gate(x, y)
        tape, value = x.tape, x.value
        ans, saved = saving(value, y)
        node = Node(gate, ((x.node, vjp(ans, value, y, saved=saved)),))
        if ans.dtype is not value.dtype:
            check_result(gate, ans)
            node.links = ((x.node, cast(node.links[0][1], value.dtype)),)
        tape.append(node)
        return Traced(ans, tape, node)

    return apply


def binary(gate: Gate, forward: Callable[[Any, Any], Any], *, broadcasts: bool = True) -> Callable[[Any, Any], Any]:
    """Return the way of two arguments, one or both traced, through a gate.

    Its vjps need not care for broadcasting, if it ``broadcasts`` its arguments to the shape of its result.
    """
    vjp_x, vjp_y = gate.vjps
    assert vjp_x is not None
    assert vjp_y is not None

    def apply(x: Any, y: Any) -> Any:  # noqa: PLR0912  # each branch saves a call where calls are what costs
        if type(x) is Traced:
            tape = x.tape
            if type(y) is not Traced or y.tape.level < tape.level:
                x_node, x, y_node = x.node, x.value, None
                if type(y) is list or type(y) is tuple:
                    y = np.asarray(y)
            elif y.tape is tape:
                x_node, x, y_node, y = x.node, x.value, y.node, y.value
            else:
                tape, x_node, y_node, y = y.tape, None, y.node, y.value
        else:
            tape, x_node, y_node, y = y.tape, None, y.node, y.value
            if type(x) is list or type(x) is tuple:
                x = np.asarray(x)
        ans = forward(x, y)
        shape = ans.shape
        links: tuple[tuple[Node, Pull], ...] = ()
        if x_node is not None:
            pull = vjp_x(ans, x, y)
            if broadcasts and x.shape != shape:
                pull = shrink(pull, shape, x.shape)
            if x.dtype is not ans.dtype:
                pull = cast(pull, x.dtype)
            links = ((x_node, pull),)
        if y_node is not None:
            pull = vjp_y(ans, x, y)
            if broadcasts and y.shape != shape:
                pull = shrink(pull, shape, y.shape)
            if y.dtype is not ans.dtype:
                pull = cast(pull, y.dtype)
            links = (*links, (y_node, pull))
        if ans.dtype.char not in "fd":
            check_result(gate, ans)
        node = Node(gate, links)
        tape.append(node)
        return Traced(ans, tape, node)

    return apply


def shrink(pull: Pull, ans_shape: tuple[int, ...], shape: tuple[int, ...]) -> Pull:
    """Return ``pull`` followed by the sum over the axes along which an argument of ``shape`` was broadcast."""
    axes, kept = _broadcast_axes(ans_shape, shape)
    if kept is None:
        return lambda g: np.add.reduce(d, axes) if type(d := pull(g)) is np.ndarray else d.sum(axis=axes)
    return lambda g: reshape_after(pull(g).sum(axis=axes), kept, shape)


@lru_cache(maxsize=1024)
def _broadcast_axes(ans_shape: tuple[int, ...], shape: tuple[int, ...]) -> tuple[Any, int | None]:
    """Return the axes to sum over, and how many are left if the sum lacks axes of length 1."""
    ndim = len(ans_shape)
    new = ndim - len(shape)
    axes = tuple(axis - ndim for axis in range(ndim) if axis < new or (shape[axis - new] == 1 != ans_shape[axis]))
    return axes, None if len(axes) == new else ndim - len(axes)


def reshape_after(g: Any, ndim: int, shape: tuple[int, ...]) -> Any:
    """Return ``g`` with its last ``ndim`` axes reshaped to ``shape``."""
    return g.reshape(g.shape[: g.ndim - ndim] + shape)
