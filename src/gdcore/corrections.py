"""What depends on the step alone: factors for coefficients, worked out in double for a block of steps at a time.

They are functions of the step, not of the steps before it, so that a run goes on anywhere with the same bits.
"""

import math
from typing import Final

from .environment import kept
from .powers import one_minus_power, power, power_of_fraction

BLOCK: Final = 64
"""Steps whose bias corrections are worked out together."""


@kept(8)
def bias_corrections(beta1: float, beta2: float, block: int) -> tuple[tuple[float, float, float], ...]:
    """Return the factors of lr, eps and eps_root for the BLOCK steps t of one block.

    They are ``sqrt(1 - beta2^t) / (1 - beta1^t)``, ``sqrt(1 - beta2^t)`` and ``1 - beta2^t``. With them Adam's
    ``m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t) + eps_root) + eps)`` has one division and one square root an
    element. A block is worked out once, to be looked up.
    """
    first = block * BLOCK
    q1, q2 = one_minus_power(beta1, first), one_minus_power(beta2, first)
    corrections = []
    for t in range(first, first + BLOCK):
        root = math.sqrt(q2)
        corrections.append((root / q1 if t else math.nan, root, q2))  # there is no step 0
        q1 = beta1 * q1 + (1.0 - beta1)
        q2 = beta2 * q2 + (1.0 - beta2)
    return tuple(corrections)


@kept(16)
def _momentum_products(beta1: float, ratio: float) -> tuple[tuple[float, ...], float]:
    """Return ``1 - mu_1 ... mu_t`` of NAdam for t from 0 on, and the last product itself.

    The last t is that from which ``mu_t`` is ``beta1`` but for rounding, or the product nothing beside 1: some
    hundred steps, and never more than some thousand, since the momentum rises fast or stays near ``beta1 / 2``.
    """
    remainders, product, fading = [0.0], 1.0, ratio
    while min(product, fading) > 2.0**-54:
        mu, gain = beta1 * (1.0 - 0.5 * fading), (1.0 - beta1) + 0.5 * beta1 * fading
        remainders.append(mu * remainders[-1] + gain)
        product *= mu
        fading *= ratio
    return tuple(remainders), product


@kept(6)
def nesterov_corrections(
    beta1: float, beta2: float, momentum_decay: float, block: int
) -> tuple[tuple[float, ...], ...]:
    """Return the factors of lr for m and for g, of eps and of eps_root, for the BLOCK steps of one block.

    With ``mu_t = beta1 * (1 - 0.96^(t * momentum_decay) / 2)``, ``Q_t = 1 - mu_1 ... mu_t`` and
    ``r_t = sqrt(1 - beta2^t)`` they are ``r_t mu_{t+1} / Q_{t+1}``, ``r_t (1 - mu_t) / Q_t``, ``r_t``, ``r_t^2``.
    """
    first = block * BLOCK
    ratio = _fading(momentum_decay)
    remainders, product = _momentum_products(beta1, ratio)
    if first < len(remainders):
        remainder = remainders[first]
    else:  # from there on mu is beta1
        remainder = remainders[-1] + product * one_minus_power(beta1, first - len(remainders) + 1)
    fading, q2 = _fading(first * momentum_decay), one_minus_power(beta2, first)
    gain = (1.0 - beta1) + 0.5 * beta1 * fading
    factors = []
    for t in range(first, first + BLOCK):
        fading *= ratio
        mu, next_gain = beta1 * (1.0 - 0.5 * fading), (1.0 - beta1) + 0.5 * beta1 * fading
        next_remainder = mu * remainder + next_gain
        root = math.sqrt(q2)
        factors.append((root * mu / next_remainder, root * gain / remainder if t else math.nan, root, q2))
        gain, remainder = next_gain, next_remainder
        q2 = beta2 * q2 + (1.0 - beta2)
    return tuple(factors)


def _fading(exponent: float) -> float:
    """Return ``0.96 ** exponent`` for an exponent >= 0, which may be infinite."""
    whole = int(min(exponent, 1e6))  # of which the power is 0
    return power(0.96, whole) * power_of_fraction(0.96, min(exponent, 1e6) - whole)
