"""``scipy.optimize``: roots and fixed points, differentiated by the implicit function theorem."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import optimize as plain_optimize  # type: ignore[import-untyped,unused-ignore]

from ..derivatives import array, real
from .implicit import refined
from .passing import missing, plain

__all__ = ["fixed_point", "root", "root_scalar"]


def _tuple(args: Any) -> tuple[Any, ...]:
    return args if isinstance(args, tuple) else (args,)


def root(fun: Callable[..., Any], x0: Any, args: Any = (), **options: Any) -> Any:
    """Return SciPy's result for a root of ``fun(x, *args)``, as ``scipy.optimize.root``.

    ``x`` depends on ``args``, and on what ``fun`` refers to, as the root does; the start has no influence. Options
    are SciPy's, ``method``, ``jac``, ``tol`` among them.

    Raises ValueError where the method found no root and something is traced.
    """
    args = _tuple(args)
    start = np.asarray(plain(x0), np.float64)
    found = plain_optimize.root(_real(fun), start, plain(args), **options)

    def equation(x: Any) -> Any:
        ans = fun(x, *args)
        if options.get("jac") is True:
            ans = ans[0]
        return array(ans)

    if not found.success:
        if _depends(equation, found.x):
            raise ValueError(f"gd.scipy.optimize.root: expected a root, got none: {found.message}")
        return found
    found.x = refined(equation, found.x)
    return found


def fixed_point(func: Callable[..., Any], x0: Any, args: Any = (), **options: Any) -> Any:
    """Return the fixed point of ``func(x, *args)``, as ``scipy.optimize.fixed_point``.

    It depends on ``args``, and on what ``func`` refers to, as the fixed point does; the start has no influence.
    """
    args = _tuple(args)
    found = plain_optimize.fixed_point(_real(func), plain(x0), plain(args), **options)
    return refined(lambda x: array(func(x, *args)) - x, np.asarray(found, np.float64)[()])


def root_scalar(f: Callable[..., Any], args: Any = (), **options: Any) -> Any:
    """Return SciPy's result for a root of ``f(x, *args)`` of one number, as ``scipy.optimize.root_scalar``.

    ``root`` depends on ``args``, and on what ``f`` refers to, as the root does; bracket and start do not count.
    """
    args = _tuple(args)
    for name in ("bracket", "x0", "x1"):
        if options.get(name) is not None:
            options[name] = plain(options[name])
    for name in ("fprime", "fprime2"):
        if callable(options.get(name)):
            options[name] = _real(options[name])
    found = plain_optimize.root_scalar(_real(f), args=plain(args), **options)

    def equation(x: Any) -> Any:
        ans = f(x, *args)
        return array(ans[0] if options.get("fprime") is True else ans)

    if not found.converged:
        if _depends(equation, found.root):
            raise ValueError(f"gd.scipy.optimize.root_scalar: expected a root, got none: {found.flag}")
        return found
    found.root = refined(equation, np.float64(found.root))
    return found


def _real(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``f`` with real results, also where it refers to traced values."""

    def call(*args: Any) -> Any:
        ans = f(*args)
        return tuple(real(array(x)) for x in ans) if isinstance(ans, tuple) else real(array(ans))

    return call


def _depends(f: Callable[..., Any], x: Any) -> bool:
    ans = f(x)
    return ans is not real(ans)


def __getattr__(name: str) -> Any:
    missing(plain_optimize, name, __name__)
