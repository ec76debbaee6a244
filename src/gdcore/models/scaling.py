"""Where columns of numbers lie and how far they spread."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CHUNK = 4096
"""Rows that are looked at at once, in cache."""


@dataclass(frozen=True)
class Scaling:
    """Where columns lie and how far they spread: ``z = (x - center) / scale`` has mean 0 and variance 1.

    ``center`` and ``scale`` are float64 (k,). A column is ``constant``, with scale 1, if it has a single value or
    its spread is nothing in float64: its ``z`` is exactly 0 for any ``x``, and so is the gradient by its weight.
    """

    center: Floats
    scale: Floats
    constant: NDArray[np.bool_]

    @classmethod
    def of(cls, x: Floats, names: Sequence[str] = (), weights: Floats | None = None) -> "Scaling":
        """Measure the columns of ``x``, finite float64 (n, k) with n >= 1; ``weights`` of the samples have mean 1.

        Raises ValueError for a column whose spread does not fit in float64; ``names`` are what it is called there.

        >>> Scaling.of(np.array([[1.0, 7.0], [3.0, 7.0]])).standardised(np.array([[3.0, 7.0]]))
        array([[1., 0.]])
        """
        low, high = x.min(axis=0), x.max(axis=0)
        with np.errstate(over="ignore", under="ignore"):
            spread = high - low
        if not np.isfinite(spread).all():
            index = int(np.isfinite(spread).argmin())
            called = f"column {names[index]!r}" if names else f"columns[{index}]"
            raise ValueError(
                f"{called}: expected a spread below {np.finfo(np.float64).max:.3g}, "
                f"got values from {low[index]:g} to {high[index]:g}"
            )
        spread[spread == 0] = 1
        # In [0, 1] neither the sum nor the squares can leave the range of float64, whatever the column's unit.
        with np.errstate(under="ignore"):
            mean = _sum_of(x, low, spread, None, weights) / len(x)
            variance = _sum_of(x, low, spread, mean, weights) / len(x)
            scale = np.sqrt(variance) * spread
        constant = scale == 0
        scale[constant] = 1
        return cls(low + mean * spread, scale, constant)

    def standardised(self, x: Floats, out: Floats | None = None) -> Floats:
        """Return ``(x - center) / scale``, float64 (n, k), in ``out`` if given; inf where it leaves float64."""
        with np.errstate(over="ignore", under="ignore"):
            z: Floats = np.subtract(x, self.center, out=out)
            z /= self.scale
        z[:, self.constant] = 0
        return z


def _sum_of(x: Floats, low: Floats, spread: Floats, mean: Floats | None, weights: Floats | None) -> Floats:
    """Return by column the weighted sum of ``(x - low) / spread``, or of its squared distances from ``mean``."""
    total = np.zeros(x.shape[1])
    for start in range(0, len(x), CHUNK):
        unit = x[start : start + CHUNK] - low
        unit /= spread
        if mean is not None:
            unit -= mean
            unit *= unit
        if weights is not None:
            unit *= weights[start : start + CHUNK, np.newaxis]
        total += unit.sum(axis=0)
    return total
