"""Powers by + - * / and square roots alone: unlike libm's ``pow``, they give the same bits everywhere."""

import math
from typing import Any

import numpy as np


def one_minus_power(beta: float, t: int) -> float:
    """Return ``1 - beta ** t`` for any integer ``t >= 0``: without cancellation.

    Works on ``q(t) = 1 - beta^t`` alone, by ``q(2 t) = q(t) (2 - q(t))`` and ``q(t + 1) = beta q(t) + 1 - beta``.
    """
    q = 0.0
    for bit in f"{t:b}":
        q = q * (2.0 - q)
        if bit == "1":
            q = beta * q + (1.0 - beta)
    return q


def power(base: float, exponent: int) -> float:
    """Return ``base ** exponent`` for an int >= 0."""
    result = 1.0
    for bit in f"{exponent:b}":
        result *= result
        if bit == "1":
            result *= base
    return result


def power_of_fraction(base: float, fraction: float) -> float:
    """Return ``base ** fraction`` for [0, 1): one more square root for each binary digit of ``fraction``.

    >>> power_of_fraction(16.0, 0.75)
    8.0
    """
    result = 1.0
    while fraction:
        base = math.sqrt(base)
        fraction *= 2.0
        if fraction >= 1.0:
            fraction -= 1.0
            result *= base
    return result


def factors(dtype: Any, factor: float, divisor: float) -> tuple[float, float]:
    """Return two numbers whose product is ``factor / divisor``: that and 1, or where it is small, a power of 2.

    A number below the normal ones of the dtype has few digits, or is 0, where its product with ``g`` need not be.
    """
    whole, power = factor / divisor, np.finfo(dtype).minexp
    if factor == 0 or abs(whole) >= math.ldexp(1.0, power):
        return whole, 1.0
    return math.ldexp(factor, -(power // 2)) / math.ldexp(divisor, power // 2), math.ldexp(1.0, power)
