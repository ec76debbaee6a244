"""Products of all factors but one, and of all but two: what the derivatives of ``prod`` and ``det`` are made of.

Nothing is divided, so that zeros are right, and exponents are kept apart, so that what lies between neither
overflows nor underflows.
"""

from typing import Any

import numpy as np

from .._gate import HOLOMORPHIC, Gate
from .._tape import Pull


def _others_of(x: Any) -> Any:
    if x.dtype.kind == "c":  # which have no exponent of their own
        one = np.ones_like(x[..., :1])
        before = np.cumprod(np.concatenate([one, x[..., :-1]], -1), -1)
        behind = np.cumprod(np.concatenate([one, x[..., :0:-1]], -1), -1)[..., ::-1]
        return before * behind if x.shape[-1] else x
    with np.errstate(under="ignore"):
        mantissa, exponent = np.frexp(x)
        mantissa, exponent = _others(mantissa, exponent.astype(np.int64))
        return np.ldexp(mantissa, np.clip(exponent, -5000, 5000).astype(np.intc))


def _others(mantissa: Any, exponent: Any) -> tuple[Any, Any]:
    """Return for each factor along the last axis the product of the others: those of pairs, times its neighbour."""
    n = mantissa.shape[-1]
    if n <= 1:
        return np.ones_like(mantissa), np.zeros_like(exponent)
    half = n // 2
    left, right = slice(0, half), slice(half, 2 * half)  # an odd one out is last
    product, carry = np.frexp(mantissa[..., left] * mantissa[..., right])
    more = exponent[..., left] + exponent[..., right] + carry
    of_pairs, shift = _others(
        np.concatenate([product, mantissa[..., 2 * half :]], -1),
        np.concatenate([more, exponent[..., 2 * half :]], -1),
    )
    paired, moved = of_pairs[..., :half], shift[..., :half]
    m = np.concatenate([paired * mantissa[..., right], paired * mantissa[..., left], of_pairs[..., half:]], -1)
    e = np.concatenate([moved + exponent[..., right], moved + exponent[..., left], shift[..., half:]], -1)
    m, carry = np.frexp(m)
    return m, e + carry


def _pull_others(ans: Any, x: Any) -> Pull:
    def pull(c: Any) -> Any:
        return (c[..., :, None] * without_two(x)).sum(axis=-2)

    return pull


def without_two(x: Any) -> Any:
    """Return for each two of the factors along the last axis the product of the others; 0 for one twice."""
    alone = np.eye(x.shape[-1], dtype=bool)
    return np.where(alone, 0, others(np.where(alone, 1, x[..., None, :])))


others = Gate("others", _others_of, (_pull_others,), stacks=True, domain=HOLOMORPHIC)
"""For each factor along the last axis, the product of the others."""
