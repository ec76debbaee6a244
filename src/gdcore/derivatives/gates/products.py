"""Products of all factors but one, and of all but two: what the derivatives of ``prod`` and ``det`` are made of.

Zeros are counted apart, and so are exponents, so that what lies between neither overflows nor underflows.
"""

from typing import Any, Final

import numpy as np

from .._gate import HOLOMORPHIC, Gate
from .._tape import Pull

SAFE: Final = 1000
"""So many numbers from 1/2 to 1 have a product that is in the range of float64."""


def _others_of(x: Any) -> Any:
    if x.dtype.kind == "c" or not np.isfinite(x).all():  # which have no exponent of their own
        one = np.ones_like(x[..., :1])
        before = np.cumprod(np.concatenate([one, x[..., :-1]], -1), -1)
        behind = np.cumprod(np.concatenate([one, x[..., :0:-1]], -1), -1)[..., ::-1]
        return before * behind if x.shape[-1] else x
    mantissa, exponent = np.frexp(x.astype(np.float64, copy=False))
    zero = None if mantissa.all() else mantissa == 0
    if zero is not None:
        mantissa = np.where(zero, 1, mantissa)
    product, shift = _product(mantissa, exponent)
    shift = np.minimum(np.maximum(shift[..., None] - exponent, -5000), 5000).astype(np.intc)
    with np.errstate(under="ignore", over="ignore"):
        ans = np.ldexp(product[..., None] / mantissa, shift)
        if zero is not None:
            ans = np.where(zero.sum(axis=-1, keepdims=True) == zero, ans, 0)
        return ans.astype(x.dtype, copy=False)


def _product(mantissa: Any, exponent: Any) -> tuple[Any, Any]:
    """Return the product along the last axis, as a number from 1/2 to 1 and an exponent."""
    while mantissa.shape[-1] > SAFE:
        fill = [(0, 0)] * (mantissa.ndim - 1) + [(0, -mantissa.shape[-1] % SAFE)]
        shape = (*mantissa.shape[:-1], -1, SAFE)
        mantissa, exponent = (
            np.pad(part, fill, constant_values=value).reshape(shape)
            for part, value in ((mantissa, 1.0), (exponent, 0))
        )
        mantissa, carry = np.frexp(np.prod(mantissa, -1))
        exponent = exponent.sum(axis=-1, dtype=np.int64) + carry
    mantissa, carry = np.frexp(np.prod(mantissa, -1))
    return mantissa, exponent.sum(axis=-1, dtype=np.int64) + carry


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
