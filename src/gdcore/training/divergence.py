"""What says that a run has gone astray, and what it raises."""

import math
import sys
from collections.abc import Sequence
from typing import Any

from .history import History


class DivergenceError(FloatingPointError):
    """The loss or the gradient of a run is not finite, or the loss grows without end.

    Attributes:
        epoch, step: where, both from 1; the step within its epoch.
        history: the :class:`gdcore.History` of the epochs before.
    """

    def __init__(self, message: str, epoch: int, step: int, history: History) -> None:
        super().__init__(message)
        self.epoch = epoch
        self.step = step
        self.history = history

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.epoch, self.step, self.history)


class Watch:
    """Finds the step at which a run diverges: a loss that is not finite, or that has grown out of all proportion.

    It has grown if ten steps in a row have a loss above ``factor`` times the largest of the first ten. A start at
    the optimum must not count, where these are rounding errors: they are taken to be at least ``LEAST``, and
    geometric growth passes that a little later.

    A loss in ``[-LARGEST, limit]`` is in order; any other is to be judged.
    """

    LARGEST = sys.float_info.max
    LEAST = 1e-6
    STEPS = 10

    def __init__(self, factor: float | None) -> None:
        self.factor = math.inf if factor is None else factor
        self.limit = -math.inf  # the first losses are all to be judged
        self.first: list[float] = []
        self.above: list[int] = []

    def judge(self, loss: float, index: int) -> None:
        """Raise FloatingPointError if the loss of the step with this index shows that the run diverges."""
        if not math.isfinite(loss):
            raise FloatingPointError(f"loss: expected a finite number, got {loss}")
        if len(self.first) < self.STEPS:
            self.resume([*self.first, abs(loss)])
            return
        self.above = [*self.above, index] if index - 1 in self.above else [index]
        if len(self.above) == self.STEPS:
            raise FloatingPointError(
                f"loss: expected a number that falls, got {loss:.3g}, the last of {self.STEPS} above "
                f"{self.factor:g} times the first ones,"
            )

    def resume(self, first: list[float], above: Sequence[int] = ()) -> None:
        """Take ``first`` for the first losses; the limit follows from them once they are all there."""
        self.first, self.above = first, [*above]
        if len(first) == self.STEPS:
            self.limit = self.factor * max(self.LEAST, *first)
