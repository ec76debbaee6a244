"""The steps of SciPy's solvers of differential equations, once more in gates.

SciPy's solver says which steps it accepts; those are taken again with traced values, so that the derivative is that
of the steps themselves, their lengths being constants. So ``fun`` may refer to traced values, and derivatives are
of any order. Explicit methods take the stages of SciPy's tableaus. An implicit step solves its equations with real
numbers, and depends on what they depend on by the implicit function theorem.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from scipy import integrate  # type: ignore[import-untyped,unused-ignore]

from ..derivatives import real
from .implicit import jacobian_at, refined

Fun = Callable[[Any, Any], Any]


# ruff: noqa: D102  # the methods are described where they are abstract
class Method(ABC):
    """How to take a step from ``t`` of length ``h`` again."""

    @abstractmethod
    def step(self, f: Fun, t: float, y: Any, h: float, slope: Any, between: bool) -> tuple[Any, Any, Any]:
        """Return the state after the step, ``f`` there if it is known, and what :meth:`at` needs ``between``."""

    @abstractmethod
    def at(self, part: float, y: Any, end: Any, h: float, inner: Any) -> Any:
        """Return the state at a ``part`` of the step from ``y`` to ``end``."""


class Explicit(Method):
    """A method of Runge and Kutta's with one of SciPy's tableaus."""

    def __init__(self, tableau: Any) -> None:
        self.tableau = tableau

    def step(self, f: Fun, t: float, y: Any, h: float, slope: Any, between: bool) -> tuple[Any, Any, Any]:
        k = [f(t, y) if slope is None else slope]
        for row, c in zip(self.tableau.A[1:], self.tableau.C[1:], strict=True):
            k.append(f(t + c * h, y + h * _combined(row, k)))
        end = y + h * _combined(self.tableau.B, k)
        k.append(f(t + h, end))
        return end, k[-1], self._inner(f, t, y, end, h, k) if between else None

    def _inner(self, f: Fun, t: float, y: Any, end: Any, h: float, k: list[Any]) -> list[Any]:
        return [_combined(column, k) for column in self.tableau.P.T]

    def at(self, part: float, y: Any, end: Any, h: float, inner: Any) -> Any:
        return y + h * _combined([part ** (i + 1) for i in range(len(inner))], inner)


class Eighth(Explicit):
    """DOP853, whose states between the ends need three more stages."""

    def _inner(self, f: Fun, t: float, y: Any, end: Any, h: float, k: list[Any]) -> list[Any]:
        first, last = k[0], k[-1]
        for row, c in zip(self.tableau.A_EXTRA, self.tableau.C_EXTRA, strict=True):
            k.append(f(t + c * h, y + h * _combined(row, k)))
        away = end - y
        inner = [away, h * first - away, 2 * away - h * (last + first)]
        return inner + [h * _combined(row, k) for row in self.tableau.D]

    def at(self, part: float, y: Any, end: Any, h: float, inner: Any) -> Any:
        total: Any = 0.0
        for i, term in enumerate(reversed(inner)):
            total = (total + term) * (1 - part if i % 2 else part)
        return y + total


S6: Final = 6**0.5
NODES: Final = np.array([(4 - S6) / 10, (4 + S6) / 10, 1])
"""Of Radau's method of the fifth order: Hairer, Wanner, "Solving ordinary differential equations II", IV.5."""
POWERS: Final = NODES[:, None] ** np.arange(1, 4)
WEIGHTS: Final = (NODES[:, None] ** np.arange(1, 4) / np.arange(1, 4)) @ np.linalg.inv(
    NODES[:, None] ** np.arange(3)
)


class Implicit(Method):
    """Radau's method, for stiff equations: three stages that depend on each other."""

    def step(self, f: Fun, t: float, y: Any, h: float, slope: Any, between: bool) -> tuple[Any, Any, Any]:
        start = real(y)
        n = start.size

        def equation(z: Any, y: Any = y) -> Any:
            stages = np.reshape(z, (3, n))
            slopes = np.stack([f(t + c * h, y + stages[i]) for i, c in enumerate(NODES)])
            return np.reshape(stages - h * (WEIGHTS @ slopes), -1)

        def matrix(stages: Any) -> Any:
            def at(c: float) -> Callable[[Any], Any]:
                return lambda y: f(t + c * h, y)

            slopes = [jacobian_at(at(c), start + z) for c, z in zip(NODES, stages, strict=True)]
            return np.eye(3 * n) - h * np.block(
                [[w * s for w, s in zip(row, slopes, strict=True)] for row in WEIGHTS]
            )

        z = np.zeros(3 * n)
        near = np.eye(3 * n) - h * np.kron(WEIGHTS, jacobian_at(lambda y: f(t, y), start))
        for _ in range(30):
            change = np.linalg.solve(near, real(equation(z, start)))
            z = z - change
            if np.max(np.abs(change), initial=0) <= 1e-14 * np.max(np.abs(start), initial=1e-6):
                break
        else:
            raise ArithmeticError(
                f"gd.scipy.integrate: expected a step from t = {t} to converge, got one that did not"
            )
        stages = np.reshape(refined(equation, z, matrix(np.reshape(z, (3, n)))), (3, n))
        return y + stages[2], None, stages

    def at(self, part: float, y: Any, end: Any, h: float, inner: Any) -> Any:
        return y + np.linalg.solve(POWERS.T, part ** np.arange(1, 4)) @ inner


METHODS: Final[dict[str, tuple[str, Method]]] = {
    "RK23": ("RK23", Explicit(integrate.RK23)),
    "RK45": ("RK45", Explicit(integrate.RK45)),
    "DOP853": ("DOP853", Eighth(integrate.DOP853)),
    "Radau": ("Radau", Implicit()),
    "BDF": ("Radau", Implicit()),
    "LSODA": ("Radau", Implicit()),
}
"""By SciPy's names: which of its solvers says the steps, and how they are taken again."""


def walk(method: Method, f: Fun, times: Any, y: Any, at: Any) -> list[Any]:
    """Take the steps between ``times`` again; return the states at the times ``at``, or after each step if None."""
    states, slope = [y] if at is None else [], None
    forward = times[-1] >= times[0]
    wanted = [] if at is None else [float(t) for t in at]
    k = 0
    for start, stop in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        until = k
        while until < len(wanted) and (wanted[until] <= stop if forward else wanted[until] >= stop):
            until += 1
        h = stop - start
        end, slope, inner = method.step(f, start, y, h, slope, any(t not in {start, stop} for t in wanted[k:until]))
        for t in wanted[k:until]:
            part = (t - start) / h if h else 0
            states.append(y if part == 0 else end if part == 1 else method.at(part, y, end, h, inner))
        if at is None:
            states.append(end)
        y, k = end, until
    states += [y] * (len(wanted) - k)
    return states


def shifted(f: Fun, t: Any, y: Any, dt: Any) -> Any:
    """Return the state at ``t + dt``, where ``dt`` is 0 and traced: a step of no length, which has derivatives."""
    k1 = f(t, y)
    k2 = f(t + dt / 2, y + dt / 2 * k1)
    k3 = f(t + dt / 2, y + dt / 2 * k2)
    k4 = f(t + dt, y + dt * k3)
    return y + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def _combined(weights: Any, terms: list[Any]) -> Any:
    parts = [float(w) * term for w, term in zip(weights, terms, strict=False) if w]
    return sum(parts[1:], parts[0])
