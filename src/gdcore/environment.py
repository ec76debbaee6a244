"""The floating-point environment of a thread: which way it rounds, and what it makes of subnormal numbers.

Another library, or the user, may change it for one thread. What was worked out in one environment must not be
taken for a result in another.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

T = TypeVar("T")

# Named, as Python itself would work out a sum of literals, once.
ONE, SMALL, TINY, HALF, LEAST, LARGE = 1.0, 2.0**-60, 2.0**-1022, 0.5, 2.0**-1074, 2.0**200


def environment() -> tuple[bool, ...]:
    """Return what tells this thread's environment from others that give other results."""
    return (
        ONE + SMALL > ONE,  # upward
        ONE - SMALL < ONE,  # downward or to zero
        -ONE - SMALL < -ONE,  # downward
        TINY * HALF > 0.0,  # not if subnormal results are flushed to 0
        LEAST * LARGE > 0.0,  # not if subnormal operands are
    )


def kept(count: int) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Keep the last ``count`` results of a function of numbers, each for the environment it was worked out in."""

    def keeping(function: Callable[..., T]) -> Callable[..., T]:
        @lru_cache(maxsize=count)
        def result(_environment: tuple[bool, ...], *args: float) -> T:
            return function(*args)

        @wraps(function)
        def once(*args: float) -> T:
            return result(environment(), *args)

        return once

    return keeping
