"""Powers by + - * / and square roots alone: unlike libm's ``pow``, they give the same bits everywhere."""

import math


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
