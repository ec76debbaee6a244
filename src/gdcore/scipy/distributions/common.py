"""What distributions of one variable share: parameters by place or by name, supports, and what lies outside.

A density is a formula of the standard variable ``(x - loc) / scale``, made of gates. Outside the support, and where
the density is infinite or nothing at an edge of it, the values are SciPy's and the gradient is 0; where a parameter
is one that no distribution has, they are nan. Only what lies inside is put into formulas, so that they give no nan
and no warnings.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import reduce
from typing import Any, ClassVar, Final

import numpy as np
from scipy import special, stats  # type: ignore[import-untyped,unused-ignore]

from ...derivatives import Traced, array, real
from ..passing import is_traced

Formula = Callable[..., Any]

SUMS: Final = {
    "cdf": ("below", (0.0, 1.0)),
    "sf": ("beyond", (1.0, 0.0)),
    "logcdf": ("log_below", (-np.inf, 0.0)),
    "logsf": ("log_beyond", (0.0, -np.inf)),
}
"""Which formula is which function of SciPy's, and what it is below and above the support."""


class Distribution(ABC):
    """A distribution of SciPy's whose functions take traced values too."""

    shapes: ClassVar[tuple[str, ...]] = ()
    """The names of the parameters, without ``loc`` and ``scale``."""
    safe: ClassVar[tuple[float, ...]] = ()
    """Values of the parameters at which every formula is defined at ``interior``."""
    interior: ClassVar[float] = 0.5
    low: ClassVar[float] = -np.inf
    high: ClassVar[float] = np.inf
    places: ClassVar[tuple[str, ...]] = ("loc", "scale")

    def __init__(self) -> None:
        self.name = type(self).__name__
        self.plain = getattr(stats, self.name)

    def __repr__(self) -> str:
        return f"gd.scipy.stats.{self.name}"

    def __call__(self, *args: Any, **kwargs: Any) -> "Frozen":
        """Return the distribution with these parameters."""
        return Frozen(self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        """Return what SciPy has besides, such as ``rvs``, for plain values."""
        if name.startswith("_") or name in {"plain", "name"}:
            raise AttributeError(name)
        return plain_only(getattr(self.plain, name), f"{self!r}.{name}")

    def valid(self, *shapes: Any) -> Any:
        """Return whether a distribution has these parameters."""
        return reduce(np.logical_and, [np.greater(shape, 0) for shape in shapes], np.True_)

    @abstractmethod
    def log_density(self, y: Any, *shapes: Any) -> Any:
        """Return the logarithm of the density of the standard variable."""

    @abstractmethod
    def below(self, y: Any, *shapes: Any) -> Any:
        """Return the probability of ``y`` or less."""

    def beyond(self, y: Any, *shapes: Any) -> Any:
        """Return the probability of more than ``y``."""
        return 1 - self.below(y, *shapes)

    def log_below(self, y: Any, *shapes: Any) -> Any:
        """Return the logarithm of the probability of ``y`` or less."""
        return _log(self.below(y, *shapes))

    def log_beyond(self, y: Any, *shapes: Any) -> Any:
        """Return the logarithm of the probability of more than ``y``."""
        return _log(self.beyond(y, *shapes))

    def parameters(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], Any, Any]:
        """Return the parameters, ``loc`` and ``scale``, given by place or by name, as SciPy takes them."""
        names = (*self.shapes, *self.places)
        if len(args) > len(names):
            raise TypeError(f"{self!r}: expected at most {len(names)} parameters, got {len(args)}")
        given = dict(zip(names, args, strict=False))
        for name, value in kwargs.items():
            if name not in names or name in given:
                raise TypeError(f"{self!r}: expected each of {', '.join(names)} once, got {name!r}")
            given[name] = value
        for name in self.shapes:
            if name not in given:
                raise TypeError(f"{self!r}: {name}: expected a parameter, got none")
        values = {name: floats(value) for name, value in given.items()}
        return [values[name] for name in self.shapes], values.get("loc", 0.0), values.get("scale", 1.0)

    def apply(
        self, formula: Formula, outside: tuple[float, float], density: bool, x: Any, args: Any, kwargs: Any
    ) -> Any:
        """Return ``formula`` of the standard variable inside the support, and ``outside`` below and above it."""
        shapes, loc, scale = self.parameters(args, kwargs)
        x = floats(x)
        good = self.valid(*map(real, shapes)) & np.greater(real(scale), 0)
        if not good.all():
            scale = np.where(good, scale, 1)
            shapes = [np.where(good, shape, safe) for shape, safe in zip(shapes, self.safe, strict=True)]
        at = (real(x) - real(loc)) / real(scale)
        finite = np.isfinite(real(x))
        if not np.all(finite):
            x = np.where(finite, x, 0)
        y = (x - loc) / scale
        kept = self.inside(at, *map(real, shapes), edges=density)
        fill = np.where(at >= self.interior, outside[1], outside[0])
        if density and self.at_edge(at):
            with np.errstate(all="ignore"):
                value = formula(np.where(kept, at, self.interior), *map(real, shapes))
            fill = np.where(kept, value, fill)
            kept = kept & np.isfinite(value)
        whole = kept.all()
        if not whole:
            y = np.where(kept, y, self.interior)
            shapes = [np.where(kept, shape, safe) for shape, safe in zip(shapes, self.safe, strict=True)]
        ans = formula(y, *shapes)
        if density and "scale" in self.places:
            ans = ans - np.log(scale)
            fill = fill - np.log(real(scale))
        if not whole:
            ans = np.where(kept, ans, fill)
        good = good & ~np.isnan(at)
        return ans if good.all() else np.where(good, ans, np.nan)

    def at_edge(self, y: Any) -> Any:
        """Return whether some ``y`` is where the density may be infinite or nothing."""
        return np.any((y == self.low) | (y == self.high))

    def inside(self, y: Any, *shapes: Any, edges: bool) -> Any:
        """Return whether ``y`` lies in the support, and whether its edges count."""
        if edges:
            return np.isfinite(y) & (y >= self.low) & (y <= self.high)
        return np.isfinite(y) & (y > self.low) & (y < self.high)

    def sum_of(self, name: str, x: Any, args: Any, kwargs: Any) -> Any:
        """Return one of the four functions of probabilities that are sums."""
        formula, outside = SUMS[name]
        return self._through(name, getattr(self, formula), outside, x, args, kwargs)

    def _through(self, name: str, formula: Formula, outside: Any, x: Any, args: Any, kwargs: Any) -> Any:
        if not is_traced((x, args, kwargs)):
            return getattr(self.plain, name)(x, *args, **kwargs)
        return self.apply(formula, outside, formula == self.log_density, x, args, kwargs)


class Continuous(Distribution):
    """A distribution with a density."""

    def logpdf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the logarithm of the density."""
        return self._through("logpdf", self.log_density, (-np.inf, -np.inf), x, args, kwargs)

    def pdf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the density."""
        if not is_traced((x, args, kwargs)):
            return self.plain.pdf(x, *args, **kwargs)
        logarithm = self.logpdf(x, *args, **kwargs)
        infinite = real(logarithm) == np.inf
        if not np.any(infinite):
            return np.exp(logarithm)
        return np.where(infinite, np.inf, np.exp(np.where(infinite, 0, logarithm)))

    def cdf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the probability of ``x`` or less."""
        return self.sum_of("cdf", x, args, kwargs)

    def sf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the probability of more than ``x``."""
        return self.sum_of("sf", x, args, kwargs)

    def logcdf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the logarithm of the probability of ``x`` or less."""
        return self.sum_of("logcdf", x, args, kwargs)

    def logsf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the logarithm of the probability of more than ``x``."""
        return self.sum_of("logsf", x, args, kwargs)


class Discrete(Distribution):
    """A distribution of whole numbers, which are not differentiated by."""

    places = ("loc",)
    low = 0.0
    interior = 0.0

    def inside(self, y: Any, *shapes: Any, edges: bool) -> Any:
        """Return whether ``y`` is one of the numbers, or for probabilities of sums at least the lowest."""
        if edges:
            return np.isfinite(y) & (y >= self.low) & (y <= self.highest(*shapes)) & (np.floor(y) == y)
        return np.isfinite(y) & (y >= self.low) & (y < self.highest(*shapes))

    def at_edge(self, y: Any) -> bool:
        """Return True: of any number there may be none at some parameters."""
        return True

    def highest(self, *shapes: Any) -> Any:
        """Return the highest number."""
        return self.high

    def logpmf(self, k: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the logarithm of the probability of ``k``."""
        return self._through("logpmf", self.log_density, (-np.inf, -np.inf), k, args, kwargs)

    def pmf(self, k: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the probability of ``k``."""
        if not is_traced((k, args, kwargs)):
            return self.plain.pmf(k, *args, **kwargs)
        return np.exp(self.logpmf(k, *args, **kwargs))

    def cdf(self, k: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the probability of ``k`` or less."""
        return self.sum_of("cdf", k, args, kwargs)

    def sf(self, k: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the probability of more than ``k``."""
        return self.sum_of("sf", k, args, kwargs)

    def logcdf(self, k: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the logarithm of the probability of ``k`` or less."""
        return self.sum_of("logcdf", k, args, kwargs)

    def logsf(self, k: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the logarithm of the probability of more than ``k``."""
        return self.sum_of("logsf", k, args, kwargs)

    def _through(self, name: str, formula: Formula, outside: Any, x: Any, args: Any, kwargs: Any) -> Any:
        place = len(self.shapes)
        if is_traced(x) or is_traced(kwargs.get("loc")) or is_traced(args[place:]):
            raise TypeError(
                f"{self!r}.{name}: expected whole numbers that are not differentiated, got traced k or loc; "
                f"gd.stop_gradient(k) makes them constants"
            )
        return super()._through(name, formula, outside, x, args, kwargs)


class Frozen:
    """A distribution with its parameters."""

    def __init__(self, distribution: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.distribution, self.args, self.kwargs = distribution, args, kwargs

    def __getattr__(self, name: str) -> Any:
        """Return a function of the distribution that knows the parameters."""
        method = getattr(self.distribution, name)
        return lambda *args, **kwargs: method(*args, *self.args, **self.kwargs, **kwargs)


def plain_only(value: Any, name: str) -> Any:
    """Return a function of SciPy's so that it refuses traced values by name."""
    if not callable(value):
        return value

    def called(*args: Any, **kwargs: Any) -> Any:
        if is_traced((args, kwargs)):
            raise TypeError(
                f"{name}: expected plain values, as it is not differentiated, got a traced one; "
                f"gd.stop_gradient(x) makes it plain"
            )
        return value(*args, **kwargs)

    return called


def floats(x: Any) -> Any:
    """Return ``x`` as an array of float64, traced or not: SciPy's distributions compute in it."""
    if isinstance(x, int | float):
        return float(x)
    x = array(x)
    if x.dtype.kind == "c":
        raise TypeError("gd.scipy.stats: expected real numbers, got complex ones; x.real takes their real part")
    return x if type(x) is Traced and x.dtype == np.float64 else x.astype(np.float64)[()]


def times_log(c: Any, y: Any) -> Any:
    """Return ``c * log(y)``; at ``y = 0``, where it is infinite or nothing, it is a constant."""
    zero = real(y) == 0
    if not np.any(zero):
        return special.xlogy(c, y)
    return np.where(zero, special.xlogy(real(c), real(y)), special.xlogy(c, np.where(zero, 1, y)))


def _log(p: Any) -> Any:
    """Return ``log(p)`` of a probability, where that of nothing is a constant."""
    nothing = real(p) == 0
    if not np.any(nothing):
        return np.log(p)
    return np.where(nothing, -np.inf, np.log(np.where(nothing, 1, p)))
