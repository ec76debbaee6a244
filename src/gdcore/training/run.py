"""Where a run stands: how far it is, what the best epoch was, and whether it still makes sense."""

import math
from collections.abc import Generator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..arguments import Array
from ..data import Batches, Samples, batches_from
from ..trees import flatten
from .divergence import Watch
from .history import History, Record

State = Mapping[str, Any] | None
"""The state of a generator, None where there is none."""


class Place(NamedTuple):
    """Where a run is, in one value, so that no interrupt comes between its parts.

    Attributes:
        epoch: the one in progress, from 1.
        step: the steps done in it.
        sums: over their samples: of the loss, and of each metric met on the way.
        order: the generator's state from which the epoch's order is drawn.
        drawn: its state after the last step, as the gradient may draw from the same generator.
        before: the steps of the epochs before it.
        best: the record of the best epoch, and copies of the leaves of the parameters after it; None where nobody
            asked for them, or before the first epoch.
    """

    epoch: int
    step: int
    sums: tuple[float, ...]
    order: State
    drawn: State
    before: int
    best: tuple[Record, list[Array]] | None


class Run:
    """The state of one run.

    Attributes:
        at: where it is. ``ahead`` is where it is once the step under way is done, as an interrupt may come between
            the optimizer's step and the line that notes it.
        seconds: what the steps of the epoch took so far.
    """

    def __init__(
        self,
        params: Any,
        optimizer: Any,
        rng: "np.random.Generator | None",
        history: History,
        watch: "Watch",
        *,
        shuffle: bool,
        sums: int,
    ) -> None:
        self.params = params
        self.optimizer = optimizer
        self.rng = rng
        self.history = history
        self.watch = watch
        self.shuffle = shuffle
        self.seconds = 0.0
        self.at = self.ahead = Place(1, 0, (0.0,) * sums, self.state(), self.state(), 0, None)

    @property
    def epoch(self) -> int:
        """The epoch in progress, from 1."""
        return self.at.epoch

    def end_epoch(self, record: Record, *, compared: bool) -> None:
        """Stand before the next epoch; copy the parameters if epochs are ``compared`` and this one is the best."""
        best = self.at.best
        cost = self.history.cost(record) if compared else math.nan
        if not math.isnan(cost) and (best is None or cost < self.history.cost(best[0])):
            best = (record, [leaf.copy() for leaf in flatten(self.params)])
        state, done = self.state(), self.at.before + self.at.step
        self.seconds = 0.0
        self.at = self.ahead = Place(self.epoch + 1, 0, (0.0,) * len(self.at.sums), state, state, done, best)

    def state(self) -> State:
        """Return the state of the generator."""
        return None if self.rng is None else self.rng.bit_generator.state

    def batches(self, source: Samples | Batches, each: int) -> Generator[tuple[Any, ...], None, None]:
        """Return the batches of the epoch that are still to come; a step takes ``each`` of them."""
        order, drawn, first = self.at.order, self.at.drawn, self.at.step * each
        if isinstance(source, Batches):
            return source.batches(self.epoch, first)
        if self.rng is None or order is None or drawn is None or not self.shuffle:
            return batches_from(first, source.columns, source.size, None)
        if not first:
            return batches_from(0, source.columns, source.size, self.rng)
        self.rng.bit_generator.state = order
        batches = batches_from(first, source.columns, source.size, self.rng)
        self.rng.bit_generator.state = drawn
        return batches

    @property
    def waited(self) -> int:
        """How many epochs have passed since the best one, or since the start."""
        return self.epoch - 1 - (0 if self.at.best is None else int(self.at.best[0]["epoch"]))

    def restore_best(self) -> None:
        """Put the parameters of the best epoch back, where they were kept."""
        if self.at.best is not None:
            for kept, leaf in zip(self.at.best[1], flatten(self.params), strict=True):
                np.copyto(leaf, kept)
