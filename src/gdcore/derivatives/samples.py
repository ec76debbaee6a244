"""Gradients of each sample of a batch: all samples together, or one after the other."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import numpy as np

from ..arguments import describe
from ..trees import flatten, rebuild
from ._traced import real
from .batched import Batched
from .choosing import name_of
from .operators import value_and_grad
from .vjps import vjp

P = ParamSpec("P")


def value_and_grads(f: Callable[P, Any]) -> Callable[P, tuple[Any, Any]]:
    """Return a function that gives the value of ``f`` and its gradient for each sample of a batch.

    ``values, grads = value_and_grads(f)(params, *data, **kwargs)``, where ``f(params, *data, **kwargs)`` is the
    loss of a batch as for :func:`value_and_grad`: ``data``, the further arguments by position, are arrays, or trees
    of them, whose first axis counts the samples. ``values[i]`` and the leaves of ``grads``, each ``[i]``, are what
    ``value_and_grad(f)`` gives for the batch of sample ``i`` alone, ``x[i : i + 1]``, up to rounding. Arguments by
    name go to every sample as they are.

    Samples go through ``f`` together, with an axis in front that ``f`` does not see, as long as it is made of
    arithmetic and other ufuncs, products of matrices, sums, means and extremes along axes, changes of shape,
    indices, and ``gd.dense``, activations, ``gd.softmax``, ``gd.softmax_cross_entropy`` and ``gd.squared_error``.
    Else, and where that raises anything, they go one by one. So ``f`` has to give the same when it is called again.

    Raises TypeError or ValueError for data without a common first axis, and what :func:`value_and_grad` raises.

    Arguments:
        f: the loss of a batch, one real number.

    >>> import numpy as np, gdcore as gd
    >>> def loss(w, x, y):
    ...     return np.mean((x @ w - y) ** 2)
    >>> values, grads = gd.value_and_grads(loss)(np.zeros(2), np.eye(2), np.array([1.0, 2.0]))
    >>> values
    array([1., 4.])
    >>> grads
    array([[-2.,  0.],
           [ 0., -4.]])
    """
    name = name_of(f)
    alone = value_and_grad(f)

    @wraps(f)
    def differentiated(*args: P.args, **kwargs: P.kwargs) -> tuple[Any, Any]:
        params, *data = args or (None,)
        count = _samples(name, data)
        try:
            return _together(f, params, data, kwargs, count)
        except Exception:  # one by one, it is raised again if it is a mistake in f
            return _one_by_one(alone, params, data, kwargs, count)

    return differentiated


def _samples(name: str, data: list[Any]) -> int:
    leaves = flatten(data)
    shapes = [np.shape(real(x)) for x in leaves]
    if not leaves:
        raise TypeError(f"{name}: expected params and the arrays of a batch by position, got no array")
    for x, shape in zip(leaves, shapes, strict=True):
        if not shape or shape[0] != shapes[0][0]:
            raise ValueError(
                f"{name}: expected arrays whose first axis counts the samples, as {shapes[0]} does, "
                f"got {describe(real(x))}"
            )
    if not shapes[0][0]:
        raise ValueError(f"{name}: expected at least one sample, got none")
    return len(leaves[0])


def _together(f: Any, params: Any, data: list[Any], kwargs: dict[str, Any], count: int) -> tuple[Any, Any]:
    batches = [Batched(np.asarray(x)[:, None]) for x in flatten(data)]

    def stacked(leaves: list[Any]) -> Any:
        ans = f(rebuild(params, iter([Batched(x) for x in leaves])), *rebuild(data, iter(batches)), **kwargs)
        if type(ans) is not Batched or ans.size != 1:
            raise ValueError("expected a number for each sample")
        return np.reshape(ans.value, (count,))

    own = [np.broadcast_to(x, (count, *np.shape(x))) for x in flatten(params)]
    values, pull = vjp(stacked)(own)
    return values, rebuild(params, iter(pull(np.ones(count, values.dtype))))


def _one_by_one(alone: Any, params: Any, data: list[Any], kwargs: dict[str, Any], count: int) -> tuple[Any, Any]:
    values, grads = [], []
    for i in range(count):
        sample = rebuild(data, iter([x[i : i + 1] for x in flatten(data)]))
        value, gradient = alone(params, *sample, **kwargs)
        values.append(value)
        grads.append(flatten(gradient))
    return np.stack(values), rebuild(params, iter([np.stack(leaf) for leaf in zip(*grads, strict=True)]))
