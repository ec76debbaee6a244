"""Descent on a plain function from a starting point: SciPy's ``minimize``, with the optimizers of gdcore."""

import inspect
import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Final

import numpy as np

from ..arguments import Array, check_callable, checked_int, checked_number, flag, is_array
from ..derivatives import value_and_grad
from ..optimizers import Adam
from ..schedules import cosine
from ..stepping import Optimizer
from ..trees import Path, flatten, rebuild, where
from .progress import counting
from .team import checked_loss, checked_pair

LR: Final = 0.1
"""Where the learning rate starts if nobody gives one; it falls to 0 along a cosine."""

CALM: Final = 10
"""So many steps in a row have to be small before ``ftol`` or ``xtol`` ends a run."""


FAILED: Final = 4
"""The first status of a run that was cut off."""


class OptimizeResult(dict[str, Any]):
    """What :func:`gdcore.minimize` found: a dict whose keys are attributes too, with the fields of SciPy's.

    Attributes:
        x: the best point met, a tree like ``x0``.
        fun: the value there, a float.
        jac: the gradient there, a tree like ``x0``.
        nit: steps made.
        nfev: calls of the function.
        status: why it ended: 0 all steps done, 1 ``gtol``, 2 ``ftol``, 3 ``xtol``, 4 not finite, 5 Ctrl-C,
            6 ``callback``.
        success: whether ``status`` is below 4.
        message: the same in words.
        path: the values of ``fun`` in the order in which they were met, a list of floats.

    >>> import numpy as np, gdcore as gd
    >>> found = gd.minimize(lambda x: (x - 3.0) ** 2, 0.0, lr=0.1)
    >>> found.success, found.x.round(3)
    (True, np.float64(3.0))
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"OptimizeResult has no {name!r}; it has {', '.join(self)}") from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __repr__(self) -> str:
        width = max(map(len, self), default=0)
        rows = {**self, "path": f"{len(self.get('path', ()))} values"} if "path" in self else self
        return "\n".join(f"{name:>{width}}: {value}" for name, value in rows.items())


class _End(Exception):  # noqa: N818
    """A run ends: ``args`` are status and message."""


def minimize(
    f: Callable[..., Any],
    x0: Any,
    args: tuple[Any, ...] = (),
    *,
    optimizer: Any = Adam,
    lr: float | None = None,
    steps: int = 1000,
    jac: "Callable[..., Any] | bool | None" = None,
    gtol: float = 0.0,
    ftol: float = 0.0,
    xtol: float = 0.0,
    max_norm: float | None = None,
    schedule: Callable[[int], float] | None = None,
    maximize: bool = False,
    callback: Callable[..., Any] | None = None,
    progress: bool | None = None,
) -> OptimizeResult:
    """Go down a plain NumPy function from a starting point, and return the best point met.

    Arguments:
        f: ``f(x, *args)`` returns one real number. It is differentiated as by :func:`gdcore.value_and_grad`.
        x0: where to start: an array, a number, a list of numbers, or any tree of them. float32 stays float32, other
            real numbers become float64. It is copied, unless ``optimizer`` is an instance.
        args: further arguments of ``f``, a tuple; anything else is the only one.
        optimizer: a class such as ``gd.AdamW``, a function that makes one of the parameters, such as
            ``functools.partial(gd.Adam, betas=(0.9, 0.99))``, or an optimizer, which was made for the arrays
            of ``x0``: these are stepped in place and hold the best point at the end.
        lr: learning rate. None means 0.1 at the first step, which falls to 0 along a cosine; or what ``optimizer``
            says, where it is a partial with ``lr`` or an instance.
        steps: how many steps to make, an int >= 0.
        jac: None differentiates ``f``. True says that ``f`` returns value and gradient. A function
            ``jac(x, *args)`` returns the gradient, a tree like ``x0``; at an array it may be a list of numbers.
        gtol: end where no element of the gradient is larger in magnitude; 0 does not look.
        ftol: end where ``fun`` has moved by at most ``ftol * max(1, |fun|)`` in each of ten steps in a row; 0 does
            not look.
        xtol: end where no element of ``x`` has moved by more than ``xtol * max(1, largest |x|)`` in any of ten
            steps in a row; 0 does not look.
        max_norm: largest global norm of the gradient, as in :func:`gdcore.clip_by_global_norm`.
        schedule: ``lr`` of step t, from 0, as those of ``gd.schedules``.
        maximize: climb; ``fun`` and ``jac`` are those of ``f``.
        callback: as SciPy's: called after each step as ``callback(x)`` with a copy of ``x``, or, if its argument
            is named ``intermediate_result``, with ``x``, ``fun`` and ``nit`` in an OptimizeResult. Returning True
            or raising StopIteration ends the run.
        progress: show a bar of the steps (tqdm, the extra ``cli``). None means: if standard error is a terminal and
            tqdm is there.

    Returns an :class:`OptimizeResult`. Where ``f`` or the gradient is not finite after some step, and at Ctrl-C,
    the run ends with the best point before; ``success`` is then False and ``message`` says it.

    Raises TypeError or ValueError for an argument out of its range, before any step, and FloatingPointError where
    ``f`` is not finite at ``x0``. What ``f`` and ``callback`` raise comes through.

    >>> import numpy as np, gdcore as gd
    >>> result = gd.minimize(lambda x: np.sum((x - [1.0, 2.0]) ** 2), [0.0, 0.0])
    >>> result.x.round(6), result.success, result.nit
    (array([1., 2.]), True, 1000)
    """
    steps = checked_int("steps", steps, 0)
    limit = None if max_norm is None else checked_number("max_norm", max_norm, 0, above=True)
    sign = -1.0 if flag("maximize", maximize) else 1.0
    tolerances = {"gtol": gtol, "ftol": ftol, "xtol": xtol}
    calm = _Calm(**{name: checked_number(name, given, 0, above=False) for name, given in tolerances.items()})
    function = _function(f, jac, args if isinstance(args, tuple) else (args,))
    heard = _heard(callback)
    x = x0 if isinstance(optimizer, Optimizer) else _start(x0)
    stepper, schedule = _stepper(optimizer, x, lr, schedule, steps)
    run = _Run(function, x, sign, calm)
    status, message = 0, f"all {steps} steps are done"
    try:
        with counting(steps, 0, progress) as count:
            gradient = run.look()
            while run.nit < steps:
                if schedule is not None:
                    stepper.lr = schedule(stepper.t)
                stepper.step(gradient, scale=sign, max_norm=limit)
                run.nit += 1
                gradient = run.look()
                if count is not None:
                    count()
                if heard(run):
                    raise _End(6, f"callback ended it after step {run.nit}")
    except _End as end:
        status, message = end.args
    except KeyboardInterrupt:
        if run.best is None:
            raise
        status, message = 5, f"interrupted after step {run.nit}; x is the best point before"
    return run.result(status, message)


class _Run:
    """Where a run is, and what was best."""

    def __init__(self, function: Callable[[Any], tuple[Any, Any]], x: Any, sign: float, calm: "_Calm") -> None:
        self.function, self.x, self.sign, self.calm = function, x, sign, calm
        self.leaves = flatten(x)
        self.path: list[float] = []
        self.nit = self.nfev = 0
        self.best: tuple[float, list[Array], Any] | None = None

    def look(self) -> Any:
        """Return the gradient at ``x``; keep value, point and gradient if they are the best so far.

        Raises _End where nothing is left to do, and FloatingPointError where nothing can be done.
        """
        self.nfev += 1
        value, gradient = self.function(self.x)
        fun = checked_loss(value, "f")
        steepest = _largest([np.asarray(leaf) for leaf in flatten(gradient) if leaf is not None])
        if not (math.isfinite(fun) and math.isfinite(steepest)):
            said = "the gradient is not finite" if math.isfinite(fun) else f"fun is {fun}"
            if self.best is None:
                raise FloatingPointError(f"x0: expected a point where f and its gradient are finite; {said}")
            raise _End(4, f"{said} after step {self.nit}; x is the best point before; try a smaller lr")
        self.path.append(fun)
        if self.best is None or self.sign * fun < self.sign * self.best[0]:
            kept = iter([None if leaf is None else np.array(leaf) for leaf in flatten(gradient)])
            self.best = fun, [leaf.copy() for leaf in self.leaves], rebuild(gradient, kept)
        self.calm.check(self.path, self.leaves, steepest)
        return gradient

    def result(self, status: int, message: str) -> OptimizeResult:
        """Put the best point back, and tell of the run."""
        assert self.best is not None
        fun, best, jac = self.best
        for kept, leaf in zip(best, self.leaves, strict=True):
            np.copyto(leaf, kept)
        said = {"status": status, "success": status < FAILED, "message": message}
        return OptimizeResult(x=self.x, fun=fun, jac=jac, nit=self.nit, nfev=self.nfev, **said, path=self.path)


class _Calm:
    """The tolerances that end a run, and for how many steps in a row ``fun`` and ``x`` have kept to theirs."""

    def __init__(self, gtol: float, ftol: float, xtol: float) -> None:
        self.gtol, self.ftol, self.xtol = gtol, ftol, xtol
        self.steps = {"ftol": 0, "xtol": 0}
        self.before: list[Array] | None = None

    def check(self, path: Sequence[float], leaves: Sequence[Array], steepest: float) -> None:
        """Raise _End if the run, which is at ``leaves`` now, is within a tolerance."""
        if self.gtol and steepest <= self.gtol:
            raise _End(1, f"no element of the gradient is larger than gtol={self.gtol:g}")
        if self.ftol and len(path) > 1:
            self._count("ftol", 2, abs(path[-1] - path[-2]) <= self.ftol * max(1.0, abs(path[-1])))
        if self.xtol:
            if self.before is not None:
                moved = _largest([leaf - old for leaf, old in zip(leaves, self.before, strict=True)])
                self._count("xtol", 3, moved <= self.xtol * max(1.0, _largest(leaves)))
            self.before = [leaf.copy() for leaf in leaves]

    def _count(self, name: str, status: int, within: bool) -> None:
        self.steps[name] = self.steps[name] + 1 if within else 0
        if self.steps[name] == CALM:
            raise _End(status, f"{CALM} steps in a row were within {name}={getattr(self, name):g}")


def _largest(arrays: Sequence[Array]) -> float:
    """Return the largest magnitude, nan where there is one."""
    return float(np.max([np.max(np.abs(array), initial=0.0) for array in arrays], initial=0.0))


def _start(x0: Any, place: Path = ()) -> Any:
    """Return a tree of arrays of floats, copies of what is in ``x0``; lists of numbers become arrays."""
    if isinstance(x0, dict):
        return {key: _start(branch, (*place, key)) for key, branch in x0.items()}
    if isinstance(x0, list | tuple) and any(is_array(leaf) for leaf in flatten(x0)):
        return rebuild(x0, iter([_start(leaf, place) for leaf in flatten(x0)]))
    return _floats(where("x0", place), x0)


def _floats(name: str, given: Any) -> Array:
    """Return a copy of numbers as an array, of float64 unless they are float32."""
    try:
        array = np.array(given)
    except ValueError as error:  # a list of lists of several lengths
        raise ValueError(f"{name}: expected numbers, got {type(given).__name__} ({error})") from None
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name}: expected real numbers, got {array.dtype} from {type(given).__name__}")
    return array if array.dtype == np.float32 else array.astype(np.float64)


def _function(f: Any, jac: Any, args: tuple[Any, ...]) -> Callable[[Any], tuple[Any, Any]]:
    """Return what gives value and gradient at a point."""
    check_callable("f", f)
    if jac is None or jac is False:

        @wraps(f, updated=())
        def alone(*given: Any) -> Any:
            value = f(*given)
            if isinstance(value, tuple):
                raise TypeError(
                    f"f: expected one real number, got {len(value)} items; jac=True takes a gradient too"
                )
            return value

        both = value_and_grad(alone)
        return lambda x: both(x, *args)
    if jac is True:

        def pair(x: Any) -> tuple[Any, Any]:
            value, gradient = checked_pair(f(x, *args), "f", "jac=None works out the gradient")
            return value, _gradient(x, gradient)

        return pair
    if not callable(jac):
        raise TypeError(f"jac: expected None, True or a function, got {jac!r} of type {type(jac).__name__}")
    return lambda x: (f(x, *args), _gradient(x, jac(x, *args)))


def _gradient(x: Any, given: Any) -> Any:
    """Return somebody's gradient as an optimizer takes it: at an array a list of numbers, and whole ones, too."""
    if not is_array(x) or not isinstance(given, list | tuple | np.ndarray):
        return given
    gradient = np.asarray(given)
    return gradient.astype(x.dtype, copy=False) if gradient.dtype.kind in "iuf" else given


def _stepper(
    optimizer: Any, x: Any, lr: float | None, schedule: Callable[[int], float] | None, steps: int
) -> tuple[Any, Callable[[int], float] | None]:
    """Return the optimizer of ``x``, and its schedule."""
    check_callable("schedule", schedule, optional=True)
    if isinstance(optimizer, Optimizer):
        if lr is not None:
            raise ValueError(f"lr: expected None with an optimizer, whose own is {optimizer.lr}, got {lr}")
        optimizer.check_params(x)
        return optimizer, schedule
    if not callable(optimizer):
        raise TypeError(
            f"optimizer: expected a class such as gd.Adam, a partial of one, or an optimizer, got {optimizer!r} "
            f"of type {type(optimizer).__name__}"
        )
    own = lr is None and "lr" in getattr(optimizer, "keywords", ())
    if lr is None and schedule is None and not own:
        schedule = cosine(LR, max(steps, 1))
    made = optimizer(x) if own else optimizer(x, lr=LR if lr is None else lr)
    if not isinstance(made, Optimizer):
        raise TypeError(
            f"optimizer: expected what makes an optimizer of gdcore, got a {type(made).__name__} from it"
        )
    return made, schedule


def _heard(callback: Callable[..., Any] | None) -> Callable[[_Run], bool]:
    """Return what tells ``callback`` of a step, in the way of SciPy, and whether to end."""
    check_callable("callback", callback, optional=True)
    if callback is None:
        return lambda run: False
    try:
        whole = "intermediate_result" in inspect.signature(callback).parameters
    except ValueError:  # of what is compiled
        whole = False

    def heard(run: _Run) -> bool:
        x = rebuild(run.x, iter([leaf.copy() for leaf in run.leaves]))
        try:
            if whole:
                return callback(intermediate_result=OptimizeResult(x=x, fun=run.path[-1], nit=run.nit)) is True
            return callback(x) is True
        except StopIteration:
            return True

    return heard
