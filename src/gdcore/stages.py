"""What a step does beside its rule, as a table: each stage one row.

The arithmetic on elements stands in two other places: in reference.py as plain NumPy, and in _kernels.pyx as
compiled loops. A step runs its stages one after the other on a strip of memory that stays in the L1 cache, and
leaves the bits that they leave one after the other.
"""

import math
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np

from .arguments import checked_number, flag, real_number
from .halves import HALF_DTYPES
from .powers import one_minus_power
from .rules import ROUNDING

BEFORE: Final = True
AFTER: Final = False

STAGES: Final = {"scale": BEFORE, "clip": BEFORE, "average": AFTER}
"""The stages, and whether they are for the gradient before the rule, or come after it. Zero needs no loop."""

CONVERSIONS: Final = tuple(f"{what}_{half}" for what in ("widen", "recall", "narrow") for half in HALF_DTYPES)
"""What a step does with half precision: before all stages a gradient is made float32; before the rule the float32
master of a parameter takes over what was written to that; after all stages it is rounded to the parameter."""

LOOKS: Final = ("squares", "largest")
"""What is found of all gradients before a step."""


class Average(NamedTuple):
    """The average of the weights that an optimizer keeps beside them.

    ``a = a + gain * (w - a)`` after each step. Uncorrected, ``gain`` is ``1 - decay`` and ``a`` starts at the first
    weights. Corrected, it is ``(1 - decay) / (1 - decay^t)``, so that ``a`` is the average of the weights after the
    steps alone, in which step i counts ``decay^(t - i)``.
    """

    decay: float
    corrected: bool

    def gain(self, t: int) -> float:
        """Return the gain of step ``t``."""
        return (1.0 - self.decay) / (one_minus_power(self.decay, t) if self.corrected else 1.0)


def checked_average(decay: Any, corrected: Any) -> Average | None:
    """Return what an optimizer's ``average`` and ``average_corrected`` ask for. Raises TypeError or ValueError."""
    corrected = flag("average_corrected", corrected)
    if decay is None:
        if corrected:
            raise ValueError("average_corrected: expected False without average, got True")
        return None
    number = real_number("average", decay, "None or a number in [0, 1)")
    if not 0.0 <= number < 1.0:
        raise ValueError(f"average: expected None or a number in [0, 1), got {decay}")
    return Average(number, corrected)


def checked_limit(name: str, value: Any) -> float | None:
    """Return a limit on gradients as a float or None; raise TypeError or ValueError unless it is > 0 or None."""
    return None if value is None else checked_number(name, value, 0, above=True)


def checked(
    dtypes: Iterable[Any], scale: Any, max_norm: Any, max_value: Any, skip_nonfinite: Any, zero: Any
) -> tuple[float, float | None, float | None, bool, bool]:
    """Return what ``opt.step`` takes beside gradients, of their types. Raises TypeError or ValueError by name."""
    factor = real_number("scale", scale, "a finite number")
    for dtype in dtypes:
        _, infinity = ROUNDING.get(np.dtype(dtype), (0.0, math.inf))
        if not abs(factor) < infinity:
            raise ValueError(f"scale: expected a number that is finite in {np.dtype(dtype)}, got {scale}")
    limits = checked_limit("max_norm", max_norm), checked_limit("max_value", max_value)
    return factor, *limits, flag("skip_nonfinite", skip_nonfinite), flag("zero", zero)
