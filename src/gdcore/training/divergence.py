"""What says that a run has gone astray, and what it raises."""

import math
import sys
from typing import Any, Final

import numpy as np

from ..arguments import as_pairs, is_array
from ..halves import half_of, widen
from ..trees import flatten
from .history import History


class DivergenceError(FloatingPointError):
    """The loss or the gradient of a run is not finite, or loss and weights grow without end.

    Attributes:
        epoch, step: where, both from 1; the step within its epoch.
        history: the :class:`gdcore.History` of the epochs before.

    >>> import numpy as np, gdcore as gd
    >>> model, rng = gd.models.Linear(1), np.random.default_rng(0)
    >>> data, opt = (np.ones((8, 1)), np.arange(8.0)), gd.SGD(model.params, lr=1e200)
    >>> try:
    ...     gd.fit(model.value_and_grad, model.params, data, opt, epochs=9, batch_size=8, rng=rng)
    ... except gd.DivergenceError as error:
    ...     print(error.epoch < 9)
    True
    """

    def __init__(self, message: str, epoch: int, step: int, history: History) -> None:
        super().__init__(message)
        self.epoch = epoch
        self.step = step
        self.history = history

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.epoch, self.step, self.history)


def advice(batch: Any) -> str:
    """Return what helps a run that has diverged in the step of this batch."""
    for leaf in flatten(batch):
        numbers = leaf if is_array(leaf) else getattr(leaf, "data", None)  # those of a sparse matrix
        if is_array(numbers) and numbers.dtype.kind in "fc" and not np.isfinite(numbers).all():
            what = "nan" if np.isnan(numbers).any() else "inf"
            return f"the samples of this step have {what} in them: fill it in, or leave such samples out"
    return "try a smaller lr"


class Watch:
    """Finds the step at which a run diverges: a loss that is not finite, or loss and weights that grow without end.

    The loss has grown if ten steps in a row have one above ``factor`` times the largest of a whole epoch, in which
    each sample is met, and the last of them is above the first. That epoch is the first in which the loss is worth
    speaking of: above ``LEAST``, below which it may be the rounding error of 0. A loss may grow by itself, as one
    whose terms are weighed anew; so the largest weight, too, has to be more than ``GROWTH`` times what it was after
    that epoch.

    A loss in ``[-LARGEST, limit]`` is in order; any other is to be judged.

    Attributes:
        limit: the largest loss so far, until there is an epoch to compare with.
        weight: the largest weight after that epoch; None until then.
        above: the last steps in a row with a loss above the limit: index and loss of each.
    """

    LARGEST: Final = sys.float_info.max
    LEAST: Final = 1e-6
    GROWTH: Final = 10.0
    STEPS: Final = 10

    def __init__(self, factor: float | None) -> None:
        self.factor = math.inf if factor is None else factor
        self.limit = 0.0
        self.weight: float | None = None
        self.above: list[tuple[int, float]] = []

    def judge(self, loss: float, index: int, params: Any) -> None:
        """Raise FloatingPointError if the loss of the step with this index shows that the run diverges."""
        if not math.isfinite(loss):
            raise FloatingPointError(f"loss: expected a finite number, got {loss}")
        if self.weight is None:
            self.limit = loss
            return
        before = [pair for pair in self.above if index - self.STEPS < pair[0] < index]  # a step may be done again
        followed = bool(before) and before[-1][0] == index - 1
        self.above = [*(before if followed else ()), (index, loss)]
        if len(self.above) == self.STEPS and loss > self.above[0][1]:
            weight = largest_weight(params)
            if weight > self.GROWTH * self.weight:
                raise FloatingPointError(
                    f"loss: expected a number that falls, got {loss:.3g}, the last of {self.STEPS} more than "
                    f"divergence={self.factor:g} times those of a whole epoch, with weights up to {weight:.3g}, "
                    f"from {self.weight:.3g}"
                )

    def end_epoch(self, loss: float, params: Any) -> None:
        """Hear the mean loss of an epoch, after which the parameters are ``params``."""
        if self.weight is None:
            largest = max(self.limit, abs(loss))
            if largest > self.LEAST:
                self.limit, self.weight = self.factor * largest, largest_weight(params)

    def state(self) -> dict[str, Any]:
        """Return what a run needs to go on, in plain values."""
        return {"limit": self.limit, "weight": self.weight, "above": self.above}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from where ``state`` was taken; the factor is that of this run."""
        self.limit, self.weight, self.above = state["limit"], state["weight"], state["above"]


def largest_weight(params: Any) -> float:
    """Return the largest magnitude in a tree, 0 in one without numbers."""
    arrays = (as_pairs(leaf) for leaf in flatten(params) if is_array(leaf))
    known = [widen(leaf) if half_of(leaf.dtype) else leaf for leaf in arrays if leaf.size]
    leaves = [leaf for leaf in known if leaf.dtype.kind == "f"]
    return max((float(max(leaf.max(), -leaf.min())) for leaf in leaves), default=0.0)
