"""``scipy.integrate``: differential equations, differentiated through the steps of the solver.

The derivative is exactly that of the steps taken, whose lengths are constants: it differs from that of the solution
as much as the values do, by the tolerances ``rtol`` and ``atol``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import integrate as plain_integrate  # type: ignore[import-untyped,unused-ignore]

from ..derivatives import Traced, array, real
from .passing import is_traced, missing, plain, refuse
from .steps import METHODS, shifted, walk

__all__ = ["odeint", "solve_ivp"]

TOLERANCE = 1.49012e-8
"""Of ``odeint``, both relative and absolute."""


def solve_ivp(
    fun: Callable[..., Any], t_span: Any, y0: Any, method: Any = "RK45", t_eval: Any = None,
    dense_output: bool = False, events: Any = None, vectorized: bool = False, args: Any = None, **options: Any,
) -> Any:  # fmt: skip
    """Return SciPy's result for ``dy/dt = fun(t, y, *args)`` from ``y0``, as ``scipy.integrate.solve_ivp``.

    ``y`` depends on ``y0``, ``args``, ``t_span`` and ``t_eval``, and on what ``fun`` refers to; ``t`` holds plain
    times. ``method="BDF"`` and ``"LSODA"`` take the steps of ``"Radau"`` where something is traced.

    Raises TypeError for ``dense_output`` and ``events`` with traced values, and ValueError for a method that is no
    name of SciPy's, and where the solver failed.
    """
    further = tuple(args) if args is not None else ()
    first = np.asarray(plain(y0)) if not isinstance(y0, list | Traced) else real(array(y0))
    tried = first[:, None] if vectorized and first.ndim == 1 else first
    traced = is_traced((t_span, y0, t_eval, further)) or is_traced(array(fun(real(t_span[0]), tried, *further)))
    if not traced:
        return plain_integrate.solve_ivp(
            fun, t_span, y0, method, t_eval, dense_output, events, vectorized, args, **options
        )
    if dense_output:
        refuse("integrate.solve_ivp", "dense_output", "t_eval says at which times the solution is needed")
    if events is not None:
        refuse("integrate.solve_ivp", "events", "the time of an event is a root: gd.scipy.optimize.root_scalar")
    if method not in METHODS:
        raise ValueError(
            f"gd.scipy.integrate.solve_ivp: method: expected one of {', '.join(METHODS)}, got {method!r}"
        )
    if vectorized:
        columns = fun

        def fun(t: Any, y: Any, *args: Any) -> Any:
            return array(columns(t, y[:, None], *args))[:, 0]

    start, stop = t_span
    at = None if t_eval is None else array(t_eval)
    found, y = _solve(fun, start, stop, array(y0), at, method, further, options)
    found.t = found.t if at is None else real(at)
    found.y = y.T
    return found


def odeint(
    func: Callable[..., Any], y0: Any, t: Any, args: Any = (), Dfun: Any = None,  # noqa: N803
    col_deriv: Any = 0, full_output: Any = 0, ml: Any = None, mu: Any = None, rtol: Any = None, atol: Any = None,
    tcrit: Any = None, h0: float = 0.0, hmax: float = 0.0, hmin: float = 0.0, ixpr: Any = 0, mxstep: Any = 0,
    mxhnil: Any = 0, mxordn: Any = 12, mxords: Any = 5, printmessg: Any = 0, tfirst: bool = False,
) -> Any:  # fmt: skip
    """Return the solution of ``dy/dt = func(y, t, *args)`` at the times ``t``, as ``scipy.integrate.odeint``.

    It depends on ``y0``, ``t`` and ``args``, and on what ``func`` refers to. Where something is traced it is solved
    by DOP853, with ``odeint``'s tolerances.

    Raises TypeError for ``full_output`` and ``tcrit`` with traced values, and ValueError where the solver failed.
    """
    args = args if isinstance(args, tuple) else (args,)

    def fun(t: Any, y: Any, *args: Any) -> Any:
        return func(t, y, *args) if tfirst else func(y, t, *args)

    start = np.atleast_1d(array(y0))
    times = array(t)
    if not (is_traced((y0, t, args)) or is_traced(array(fun(float(real(times)[0]), real(start), *args)))):
        return plain_integrate.odeint(
            func, y0, t, args, Dfun, col_deriv, full_output, ml, mu, rtol, atol, tcrit, h0, hmax, hmin, ixpr,
            mxstep, mxhnil, mxordn, mxords, printmessg, tfirst,
        )  # fmt: skip
    for name, value in (("full_output", full_output), ("tcrit", tcrit)):
        if value is not None and np.any(value):
            refuse("integrate.odeint", name, "solve_ivp gives what is known of a solution")
    options: dict[str, Any] = {"rtol": rtol or TOLERANCE, "atol": TOLERANCE if atol is None else atol}
    if hmax:
        options["max_step"] = hmax
    return _solve(fun, times[0], times[-1], start, times, "DOP853", args, options)[1]


def _solve(
    fun: Callable[..., Any],
    start: Any,
    stop: Any,
    y0: Any,
    at: Any,
    method: str,
    args: tuple[Any, ...],
    options: Any,
) -> tuple[Any, Any]:
    """Return SciPy's result for plain values, and the states, along the first axis."""
    known = plain(args)
    span = float(real(start)), float(real(stop))

    def plain_fun(t: Any, y: Any) -> Any:
        return real(array(fun(t, y, *known)))

    def f(t: Any, y: Any) -> Any:
        return array(fun(t, y, *args))

    solver, steps = METHODS[method]
    options = {name: plain(value) for name, value in options.items()}
    jac = options.get("jac")
    if callable(jac):
        options["jac"] = lambda t, y: real(array(jac(t, y, *known)))
    found = plain_integrate.solve_ivp(plain_fun, span, real(y0), solver, **options)
    if not found.success:
        raise ValueError(f"gd.scipy.integrate: expected a solution, got none: {found.message}")
    if y0.dtype != np.float64:
        y0 = y0.astype(np.float64)
    if is_traced(start):
        y0 = shifted(f, start, y0, span[0] - start)
    times = None if at is None else np.asarray(real(at), np.float64)
    if times is not None and times.size:
        if times.min() < min(span) or times.max() > max(span):
            raise ValueError(
                f"gd.scipy.integrate: expected times within {span}, got {times.min()} to {times.max()}"
            )
        if np.any(np.diff(times) * (span[1] - span[0]) < 0):
            raise ValueError(f"gd.scipy.integrate: expected times in the order of {span}, got others")
    states = walk(steps, f, found.t, y0, times)
    if times is not None and is_traced(at):
        states = [shifted(f, t, y, at[k] - t) for k, (t, y) in enumerate(zip(times.tolist(), states, strict=True))]
    elif times is None and is_traced(stop):
        states[-1] = shifted(f, span[1], states[-1], stop - span[1])
    return found, np.stack(states) if states else np.zeros((0, y0.size))


def __getattr__(name: str) -> Any:
    missing(plain_integrate, name, __name__)
