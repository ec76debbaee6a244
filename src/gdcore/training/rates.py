"""The learning rates of a run: one schedule, or one a group of the optimizer."""

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..arguments import check_callable
from ..schedules import Schedule


class ByGroup:
    """A schedule for each group; None for one that keeps its rate. Called as one, it gives the rates of all."""

    def __init__(self, given: Any, count: int) -> None:
        if isinstance(given, Mapping):
            if not given.keys() <= set(range(count)):
                raise ValueError(
                    f"schedule: expected the indices of groups, below {count}, as keys, got {[*given]}"
                )
            given = [given.get(index) for index in range(count)]
        if len(given) != count:
            raise ValueError(f"schedule: expected one a group, {count}, got {len(given)}")
        for index, schedule in enumerate(given):
            check_callable(f"schedule[{index}]", schedule, optional=True)
        self.schedules: tuple[Callable[[int], float] | None, ...] = tuple(given)

    def __call__(self, step: int) -> tuple[float, ...]:
        """Return the rates of one step, 0 for a group that keeps its own."""
        return tuple(0.0 if schedule is None else schedule(step) for schedule in self.schedules)

    def __repr__(self) -> str:
        return f"[{', '.join(str(described(schedule)) for schedule in self.schedules)}]"


def checked_schedule(schedule: Any, optimizer: Any) -> Any:
    """Return a schedule, or a :class:`ByGroup`, or None; raise as :func:`gdcore.fit` does."""
    if isinstance(schedule, list | tuple | Mapping):
        groups = getattr(optimizer, "groups", None)
        if groups is None:
            raise TypeError(f"schedule: expected one with an optimizer without groups, such as {_kind(optimizer)}")
        return ByGroup(schedule, len(groups))
    check_callable("schedule", schedule, optional=True)
    return schedule


def setter(schedule: Any, optimizer: Any) -> Callable[[int], None]:
    """Return what gives the optimizer the rate, or rates, of a step."""

    def set_one(step: int) -> None:
        rate = schedule(step)
        try:
            optimizer.lr = rate
        except ValueError as error:
            raise ValueError(f"schedule({step}) = {rate}: {error}") from error

    def set_each(step: int) -> None:
        for index, (group, of_group) in enumerate(zip(optimizer.groups, schedule.schedules, strict=True)):
            if of_group is not None:
                rate = of_group(step)
                try:
                    group["lr"] = rate
                except ValueError as error:
                    raise ValueError(f"schedule[{index}]({step}) = {rate}: {error}") from error

    return set_each if isinstance(schedule, ByGroup) else set_one


def told(optimizer: Any) -> dict[str, float]:
    """Return what a record tells of the rates: ``lr``, or ``lr_0``, ``lr_1`` ... where those of groups differ."""
    rates = [group["lr"] for group in getattr(optimizer, "groups", ())]
    if len(set(rates)) < 2:
        return {"lr": optimizer.lr}
    return {f"lr_{index}": rate for index, rate in enumerate(rates)}


def of_schedule(schedule: Any, index: int) -> bool:
    """Return whether the rate of this group is one of the schedule."""
    return schedule.schedules[index] is not None if isinstance(schedule, ByGroup) else schedule is not None


class Rates:
    """The checksum of the rates that a schedule has given so far: what the past of two runs has in common.

    None for what is no schedule of :mod:`gdcore.schedules`, which may give others when it is asked again.
    """

    def __init__(self, schedule: Any, first: int) -> None:
        self.schedule, self.first = schedule, first
        self.count = 0
        parts = schedule.schedules if isinstance(schedule, ByGroup) else (schedule,)
        pure = all(isinstance(part, Schedule) or (part is None and len(parts) > 1) for part in parts)
        self.checksum = 0 if pure else None

    def until(self, count: int) -> int | None:
        """Return the checksum of the first ``count`` rates, at least as many as before."""
        if self.schedule is not None and self.checksum is not None:
            rates = [self.schedule(self.first + step) for step in range(self.count, count)]
            self.count, self.checksum = count, zlib.crc32(np.array(rates, "<f8").tobytes(), self.checksum)
        return self.checksum


def described(schedule: Any) -> str | None:
    """Return what errors say of a schedule."""
    if schedule is None:
        return None
    return repr(schedule) if isinstance(schedule, Schedule | ByGroup) else "a function"


def _kind(optimizer: Any) -> str:
    return type(optimizer).__name__
