"""How derivatives are checked: against differences of values at points nearby."""

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from ..arguments import Array, checked_int
from ..trees import Structure, flatten, rebuild
from .joining import joined
from .operators import grad, hvp
from .vjps import jvp


def check_grads(
    f: Callable[..., Any], params: Any, *args: Any, order: int = 2, tol: float | None = None, **kwargs: Any
) -> None:
    """Raise AssertionError unless the derivatives of ``f`` by its first argument agree with finite differences.

    The gradient is compared at each element of ``params`` with ``(f(x + h) - f(x - h)) / (2 h)``, and the Hessian,
    times a fixed random vector, with the same difference of gradients; the tangent along that vector with the
    gradient. An ``f`` whose result is an array, or a tree of those, is multiplied with fixed random weights and
    summed. Values nearby are computed in float64. Of complex elements the real and the imaginary part are moved one
    after the other, and the results' both parts are weighted.

    Arguments:
        f: any function for :func:`gdcore.grad` or :func:`gdcore.jacobian`, smooth around ``params``.
        params: a tree of arrays, as there.
        *args: given to ``f``.
        **kwargs: given to ``f``.
        order: 1 compares the gradient, 2 the Hessian and the tangent too, 3 the same of the derivative along the
            vector, and so on.
        tol: how far an element may be off, as a part of the largest element, or of 1 if that is smaller. None means
            1e-5 for float64 and complex128, and 1e-3 for float32 and complex64.

    The error names the element and both numbers.

    Returns None if they agree.

    >>> import numpy as np, gdcore as gd
    >>> gd.check_grads(lambda x: np.sin(x) * x, np.array([1.0, 2.0]))
    >>> wrong = gd.gate(lambda x: x**2, lambda ans, x: lambda g: g * x)
    >>> gd.check_grads(wrong, np.array([1.0, 2.0]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    AssertionError: params[0]: expected the gradient ..., by finite differences, got ...
    """
    order = checked_int("order", order, 1)
    weights: list[Any] = []

    def total(tree: Any) -> Any:
        parts: list[Any] = []
        for x in flatten(f(tree, *args, **kwargs)):
            y = joined(x) if isinstance(x, np.ndarray) and x.dtype.char == "O" else x
            parts += (y.real, y.imag) if np.iscomplexobj(y) else (y,)
        if not weights:
            draw = np.random.default_rng(0).uniform
            weights.extend(np.asarray(draw(0.5, 1.5, np.shape(x))) for x in parts)
        sums = [np.sum(x * w.astype(np.result_type(x))) for x, w in zip(parts, weights, strict=True)]
        return reduce(add, sums) if sums else 0.0

    labels = Structure(params, "params").labels
    gradient, wide_gradient = grad(total), grad(total)
    got = flatten(gradient(params))
    points = [np.array(leaf, np.complex128 if np.iscomplexobj(leaf) else np.float64) for leaf in flatten(params)]
    if tol is None:
        wide = all(np.result_type(leaf) in {np.float64, np.complex128} for leaf in flatten(params))
        tol = 1e-5 if wide else 1e-3
    expected: list[Any] = [np.zeros_like(x) for x in points]
    for i, x in enumerate(points):
        for at in np.ndindex(x.shape):
            step = _step(float(abs(x[at])))
            for unit in (1, 1j) if x.dtype.kind == "c" else (1,):
                values = []
                for moved in (x[at] + step * unit, x[at] - step * unit):
                    there = [y.copy() for y in points]
                    there[i][at] = moved
                    values.append(np.float64(total(rebuild(params, iter(there)))))
                expected[i][at] += unit * (values[0] - values[1]) / (2 * step)
    _compare("the gradient", labels, expected, got, tol)
    if order == 1:
        return
    rng = np.random.default_rng(1)

    def direction(x: Any) -> Any:
        return rng.choice([-1.0, 1.0], x.shape) * rng.uniform(0.5, 1.0, x.shape)

    signs = [np.asarray(direction(x) + 1j * direction(x) if x.dtype.kind == "c" else direction(x)) for x in points]
    leaves = [v.astype(np.result_type(leaf)) for v, leaf in zip(signs, flatten(params), strict=True)]
    along = rebuild(params, iter(leaves))
    slope = sum((float(np.sum(np.conj(g) * v).real) for g, v in zip(got, leaves, strict=True)), 0.0)
    _compare("the tangent", ("",), [np.asarray(slope)], [jvp(total)(params, along)[1]], tol, "by the gradient")
    got = flatten(hvp(total)(params, along))
    step = _step(max((float(np.abs(x).max(initial=0)) for x in points), default=0.0))
    sides = [
        flatten(
            wide_gradient(rebuild(params, iter([x + sign * step * v for x, v in zip(points, signs, strict=True)])))
        )
        for sign in (1, -1)
    ]
    expected = [np.asarray((ahead - behind) / (2 * step)) for ahead, behind in zip(*sides, strict=True)]
    _compare("the Hessian times a vector", labels, expected, got, tol)
    if order > 2:

        def derivative(tree: Any) -> Any:
            return reduce(
                add,
                [np.sum(np.conj(g) * v).real for g, v in zip(flatten(gradient(tree)), leaves, strict=True)],
                0.0,
            )

        check_grads(derivative, params, order=order - 1, tol=tol)


def _step(x: float) -> float:
    """Return the step with the least error, of rounding and of the third derivative together."""
    return float(np.finfo(np.float64).eps ** (1 / 3) * max(1.0, abs(x)))


def _compare(
    what: str,
    labels: tuple[str, ...],
    expected: list[Array],
    got: list[Any],
    tol: float,
    judge: str = "by finite differences",
) -> None:
    scale = max([1.0, *(float(np.abs(x).max()) for x in expected if x.size)])
    for label, e, g in zip(labels, expected, got, strict=True):
        off = np.argwhere(~(np.abs(e - g) <= tol * scale))
        if len(off):
            at = tuple(int(i) for i in off[0])
            where = f"[{', '.join(map(str, at))}]" if at else ""
            raise AssertionError(
                f"params{label}{where}: expected {what} {e[at]:.8g}, {judge}, got {np.asarray(g)[at]:.8g}"
            )
