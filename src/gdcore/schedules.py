"""Learning rates as pure functions of the step, counted from 0.

A schedule gives the same rate for the same step, whatever it was asked before, so a run that goes on from a
checkpoint needs no replay. ``opt.lr = schedule(opt.t)`` before ``opt.step(grads)`` applies it.

Rates have the same bits on every machine: they are worked out by sums, products, quotients and square roots, which
IEEE 754 defines to the last bit, and not by the ``cos`` and ``pow`` of libm, whose last bits differ.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .arguments import check_callable, checked_int, nonnegative, positive
from .powers import power, power_of_fraction


@dataclass(frozen=True, repr=False)
class Schedule:
    """A learning rate as a function of the step. Made by the functions of this module, such as :func:`cosine`.

    ``schedule(step)`` is the rate, a float, of step number ``step``, an int >= 0. Raises TypeError or ValueError
    for another. Schedules with the same arguments are equal; they can be hashed, copied and pickled.

    Attributes:
        rate: the function of the step and the values.
        names, values: its arguments.

    >>> import gdcore as gd
    >>> schedule = gd.schedules.cosine(0.1, steps=100)
    >>> schedule
    cosine(lr=0.1, steps=100, final=0.0)
    >>> schedule == gd.schedules.cosine(0.1, 100, final=0)
    True
    """

    rate: Callable[..., float]
    names: tuple[str, ...]
    values: tuple[Any, ...]

    def __call__(self, step: int) -> float:
        """Return the learning rate of one step."""
        if type(step) is not int or step < 0:  # spares the usual step the slow test
            step = checked_int("step", step, 0)
        return self.rate(step, *self.values)

    def __repr__(self) -> str:
        shown = (
            repr(dict(value)) if isinstance(value, tuple) else f"{name}={value!r}"
            for name, value in zip(self.names, self.values, strict=True)
        )
        return f"{self.rate.__name__.lstrip('_')}({', '.join(shown)})"


def constant(lr: float) -> Schedule:
    """Return the schedule that is ``lr``, a finite number >= 0, at every step.

    Raises TypeError or ValueError for another ``lr``.

    Arguments:
        lr: the learning rate.

    >>> constant(0.1)(1000)
    0.1
    """
    return _schedule(_constant, lr=nonnegative("lr", lr))


def step(lr: float, every: int, factor: float) -> Schedule:
    """Return the staircase ``lr * factor^floor(step / every)``.

    Arguments:
        lr: the rate at step 0, a finite number >= 0.
        every: steps a stair, an int >= 1.
        factor: of one stair to the one before, a finite number > 0.

    Raises TypeError or ValueError for an argument out of its range.

    >>> schedule = step(0.5, every=10, factor=0.5)
    >>> [schedule(t) for t in (0, 9, 10, 20)]
    [0.5, 0.5, 0.25, 0.125]
    """
    return _decaying(_step, lr, every, factor)


def exponential(lr: float, factor: float, every: int = 1) -> Schedule:
    """Return the exponential ``lr * factor^(step / every)``. Every ``every`` steps it meets :func:`step`.

    Arguments:
        lr: the rate at step 0, a finite number >= 0.
        factor: by which the rate changes in ``every`` steps, a finite number > 0. With more than 1 it grows, as to
            find out which rate is too large; beyond the largest double it is infinite, which no optimizer takes.
        every: an int >= 1.

    Raises TypeError or ValueError for an argument out of its range.

    >>> schedule = exponential(0.8, factor=0.25, every=2)
    >>> [schedule(t) for t in range(5)]
    [0.8, 0.4, 0.2, 0.1, 0.05]
    """
    return _decaying(_exponential, lr, every, factor)


def cosine(lr: float, steps: int, final: float = 0.0) -> Schedule:
    """Return half a wave, ``final + (lr - final) * (1 + cos(pi * step / steps)) / 2``, and then ``final``.

    Arguments:
        lr: the rate at step 0, a finite number >= 0.
        steps: the step from which on the rate is ``final``, an int >= 1.
        final: a finite number >= 0; more than ``lr`` makes the rate rise.

    Raises TypeError or ValueError for an argument out of its range.

    >>> schedule = cosine(0.1, steps=100)
    >>> [schedule(t) for t in (0, 50, 100, 101)]
    [0.1, 0.05, 0.0, 0.0]

    Loshchilov and Hutter (2017), SGDR, equation 5, without restarts.
    """
    return _schedule(
        _cosine, lr=nonnegative("lr", lr), steps=checked_int("steps", steps, 1), final=nonnegative("final", final)
    )


def warmup(lr: float, steps: int, start: float = 0.0) -> Schedule:
    """Return the line ``start + (lr - start) * step / steps``, and then ``lr``.

    Arguments:
        lr: the rate from step ``steps`` on, a finite number >= 0.
        steps: an int >= 1.
        start: the rate at step 0, a finite number >= 0. With 0, the first step of a run changes nothing.

    Raises TypeError or ValueError for an argument out of its range.

    >>> schedule = warmup(0.5, steps=4)
    >>> [schedule(t) for t in range(6)]
    [0.0, 0.125, 0.25, 0.375, 0.5, 0.5]

    Goyal et al. (2017), Accurate, Large Minibatch SGD, section 2.2: "gradual warmup".
    """
    return _schedule(
        _warmup, lr=nonnegative("lr", lr), steps=checked_int("steps", steps, 1), start=nonnegative("start", start)
    )


def one_cycle(
    lr: float, steps: int, pct_start: float = 0.3, div_factor: float = 25.0, final_div_factor: float = 1e4
) -> Schedule:
    """Return one rise from ``lr / div_factor`` to ``lr`` and one fall to ``lr / div_factor / final_div_factor``.

    Both are half waves of :func:`cosine`: ``join({0: cosine(low, peak, lr), peak: cosine(lr, steps - peak, end)})``
    with ``peak = round(pct_start * steps)``.

    Arguments:
        lr: the largest rate, a finite number >= 0.
        steps: the step from which on the rate is the smallest, an int >= 2.
        pct_start: the part of the steps in which the rate rises, in (0, 1); ``peak`` has to be in [1, steps - 1].
        div_factor: ``lr`` over the rate at step 0, a finite number > 0.
        final_div_factor: the rate at step 0 over that at the end, a finite number > 0.

    Raises TypeError or ValueError for an argument out of its range.

    >>> schedule = one_cycle(0.5, steps=100)
    >>> [schedule(t) for t in (0, 30, 100, 101)]
    [0.02, 0.5, 2e-06, 2e-06]

    Smith and Topin (2018), Super-Convergence, with the defaults and the names of torch's ``OneCycleLR``: cosines in
    place of the paper's lines, and two phases, ``three_phase=False``. Momentum is left alone. Peak and end are
    at the steps that optax's ``cosine_onecycle_schedule`` has them at; with ``total_steps=steps``, torch reaches
    both one step earlier.
    """
    lr = nonnegative("lr", lr)
    steps = checked_int("steps", steps, 2)
    peak = round(min(positive("pct_start", pct_start), 1.0) * steps)
    if not 1 <= peak < steps:
        raise ValueError(
            f"pct_start: expected a part of {steps} steps that is at least 1 and less than all, got {pct_start!r}"
        )
    low = lr / positive("div_factor", div_factor)
    end = low / positive("final_div_factor", final_div_factor)
    return join({0: cosine(low, peak, lr), peak: cosine(lr, steps - peak, end)})


def piecewise(rates: Mapping[int, float]) -> Schedule:
    """Return the staircase that has each rate from its step on, until the next.

    Arguments:
        rates: ``{0: lr, step: lr, ...}``: ints >= 0, of which one is 0, and finite numbers >= 0.

    Raises TypeError or ValueError for anything else.

    >>> schedule = piecewise({0: 0.1, 30: 0.01, 60: 0.001})
    >>> [schedule(t) for t in (0, 29, 30, 1000)]
    [0.1, 0.1, 0.01, 0.001]
    """
    pieces = _pieces("rates", rates)
    return _schedule(_piecewise, rates=tuple((at, nonnegative(f"rates[{at}]", lr)) for at, lr in pieces))


def join(schedules: Mapping[int, Callable[[int], float]]) -> Schedule:
    """Return the schedule that follows each schedule from its step on, until the next.

    Each counts its steps from where it begins: after ``{0: a, 100: b}``, step 130 is ``b(30)``.

    Arguments:
        schedules: ``{0: schedule, step: schedule, ...}``: ints >= 0, of which one is 0, and schedules or any
            other callables from an int to a float.

    Raises TypeError or ValueError for anything else.

    >>> schedule = join({0: warmup(0.5, steps=100), 100: cosine(0.5, steps=900)})
    >>> [schedule(t) for t in (0, 50, 100, 550, 1000)]
    [0.0, 0.25, 0.5, 0.25, 0.0]
    """
    pieces = _pieces("schedules", schedules)
    for at, schedule in pieces:
        check_callable(f"schedules[{at}]", schedule)
    return _schedule(_join, schedules=pieces)


# The rates ------------------------------------------------------------------------------------------------------


def _constant(_step: int, lr: float) -> float:
    return lr


def _step(step: int, lr: float, every: int, factor: float) -> float:
    return lr and lr * power(factor, step // every)  # 0 times a power that has overflown is 0


def _exponential(step: int, lr: float, every: int, factor: float) -> float:
    stairs, rest = divmod(step, every)
    return lr and lr * (power(factor, stairs) * power_of_fraction(factor, rest / every))


def _cosine(step: int, lr: float, steps: int, final: float) -> float:
    return _between(final, lr, _half_wave(min(step, steps) / steps))


def _warmup(step: int, lr: float, steps: int, start: float) -> float:
    return _between(start, lr, min(step, steps) / steps)


def _piecewise(step: int, rates: tuple[tuple[int, float], ...]) -> float:
    return rates[bisect_right(rates, step, key=_beginning) - 1][1]


def _join(step: int, schedules: tuple[tuple[int, Callable[[int], float]], ...]) -> float:
    at, schedule = schedules[bisect_right(schedules, step, key=_beginning) - 1]
    return schedule(step - at)


# The same bits everywhere ---------------------------------------------------------------------------------------


def _between(start: float, end: float, part: float) -> float:
    """Return ``start + (end - start) * part``, exact at both ends."""
    return start + (end - start) * part if part < 0.5 else end - (end - start) * (1.0 - part)


def _half_wave(x: float) -> float:
    """Return ``(1 + cos(pi x)) / 2`` for x in [0, 1], without cancellation where it is small.

    It is ``1 - sin^2(pi x / 2)``, and ``sin^2(pi (1 - x) / 2)``. The sine is its Taylor series, in which the terms
    beyond the 17th power are smaller than 1e-19.

    >>> [_half_wave(x) for x in (0.0, 0.5, 1.0)]
    [1.0, 0.5, 0.0]
    """
    angle = 0.5 * math.pi * min(x, 1.0 - x)
    z = angle * angle
    series = 1.0
    for ratio in (16 * 17, 14 * 15, 12 * 13, 10 * 11, 8 * 9, 6 * 7, 4 * 5, 2 * 3):
        series = 1.0 - z / ratio * series
    square = z * series * series
    return 1.0 - square if x <= 0.5 else square


# Arguments ------------------------------------------------------------------------------------------------------


def _schedule(rate: Callable[..., float], **arguments: Any) -> Schedule:
    return Schedule(rate, tuple(arguments), tuple(arguments.values()))


def _decaying(rate: Callable[..., float], lr: float, every: int, factor: float) -> Schedule:
    return _schedule(
        rate, lr=nonnegative("lr", lr), every=checked_int("every", every, 1), factor=positive("factor", factor)
    )


def _beginning(piece: tuple[int, Any]) -> int:
    return piece[0]


def _pieces(name: str, given: Any) -> tuple[tuple[int, Any], ...]:
    if not isinstance(given, Mapping):
        raise TypeError(f"{name}: expected a dict whose keys are steps, got {type(given).__name__}")
    pieces = sorted(((checked_int(f"{name}: step", at, 0), what) for at, what in given.items()), key=_beginning)
    if not pieces or pieces[0][0] != 0:
        raise ValueError(f"{name}: expected one that begins at step 0, got steps {[at for at, _ in pieces]}")
    return tuple(pieces)
