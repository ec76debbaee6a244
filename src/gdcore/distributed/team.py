"""Training by several ranks: each works on its part of every mini-batch.

The loop of a rank sees whole batches, their loss, and a record that is the same on all ranks. What it decides from
these is decided alike everywhere, so that no rank waits for one that has left.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from ..arguments import Array, describe
from ..checkpoints import Checkpoint
from ..clipping import Limits
from ..groups import Group, Tree
from ..training import Callback, History, Record, ValueAndGrad, checked_loss, checked_pair, checksum
from .agreement import agree
from .checkpoint import Sharded, read, restore, save
from .interrupts import handling_ctrl_c
from .waiting import Waiting

PLAIN: Final = (bool, int, float, str, type(None))
"""What a record may hold that all ranks get."""


class Stepping(Sharded, Protocol):
    """What training needs of an optimizer over ranks."""

    limits: Limits

    @property
    def rule(self) -> str:
        """The name of its rule."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """Its groups."""

    def step(self, grads: Tree, *, weight: float) -> None:
        """Step by the gradients of all ranks."""

    def flat_grads(self, grads: Tree) -> list[Any]:
        """Raise as ``step`` does for this rank's."""

    def check(self) -> None:
        """Compare the ranks."""


class Ranks:
    """The ranks of a run: a :class:`gdcore.training.Team`."""

    def __init__(self, optimizer: Stepping, value_and_grad: ValueAndGrad, callback: Callback) -> None:
        comm = optimizer.comm
        self._optimizer, self._value_and_grad, self._callback = optimizer, value_and_grad, callback
        self._comm, self._rank, self._ranks = comm, comm.Get_rank(), comm.Get_size()
        self._rng: np.random.Generator | None = None
        self._clock: Callable[[], bool] = lambda: False
        self._due = self._interrupted = False
        self._batches = 0
        self._weight = 1.0

    @property
    def leads(self) -> bool:
        """Whether this is rank 0."""
        return bool(self._rank == 0)

    @property
    def limits(self) -> Limits:
        """Those of the optimizer."""
        return self._optimizer.limits

    def hyperparameters(self) -> dict[str, Any]:
        """Return the rule and the groups."""
        return {"rule": self._optimizer.rule, "groups": [dict(group) for group in self._optimizer.groups]}

    def step(self, grads: Any) -> None:
        """Step by the gradients of this rank's part of a batch."""
        self._optimizer.step(grads, weight=self._weight)

    def value_and_grad(self, params: Any, *batch: Array) -> tuple[float, Any]:
        """Return the loss of the whole batch, and the gradient of the loss of this rank's part.

        A rank whose part is empty computes a sample of another one, which then counts nothing.
        """
        count = len(batch[0])
        low, high = (rank * count // self._ranks for rank in (self._rank, self._rank + 1))
        self._weight = (high - low) * self._ranks / count
        self._batches += 1
        part = slice(low, max(high, low + 1))
        failed: BaseException | None = None
        loss, grads = 0.0, None
        with Waiting(self._comm, f"batch {self._batches} of fit", self._optimizer.timeout):
            try:
                value, grads = checked_pair(self._value_and_grad(params, *(array[part] for array in batch)))
                loss = checked_loss(value) * (high - low) if low < high else 0.0
                if self._ranks > 1:
                    self._optimizer.flat_grads(grads)
            except KeyboardInterrupt:
                self._interrupted = True
            except BaseException as error:  # a SystemExit too would leave the others waiting
                failed = error
            row = [loss, failed is not None, self._interrupted, self._clock()]
            losses, failures, interrupts, clocks = self._exchanged(row)
        if any(failures):
            self._agree(lambda: _raised(failed))
        if any(interrupts):
            raise KeyboardInterrupt
        self._due = bool(clocks[0])
        return sum(losses) / count, grads

    def due(self) -> bool:
        """Return whether the clock of rank 0 said at this batch that it is time to save."""
        return self._due

    def _exchanged(self, row: list[float]) -> list[list[float]]:
        # What each rank says, by column.
        rows = np.empty((self._ranks, len(row)))
        self._comm.Allgather(np.array(row, np.float64), rows)
        columns: list[list[float]] = rows.T.tolist()
        return columns

    def _agree(self, lines_of: Callable[[], Sequence[str]]) -> None:
        agree(self._comm, lines_of, f"fit, after {self._batches} batches", self._optimizer.timeout)

    def callback(self, record: Record, params: Any) -> bool:
        """Let rank 0 call the callback of the user, and give its record to all; return whether to stop."""
        stop = False

        def call() -> list[str]:
            nonlocal stop
            if self.leads:
                try:
                    returned = self._callback(record, params)
                except KeyboardInterrupt:
                    self._interrupted, returned = True, None
                stop = isinstance(returned, bool | np.bool_) and bool(returned)
            return [f"rng after epoch {record['epoch']} in state {self._drawn()}"]

        self._agree(call)
        plain = {key: value.item() if isinstance(value, np.generic) else value for key, value in record.items()}
        stop, told = self.of_leader((stop, {key: v for key, v in plain.items() if isinstance(v, PLAIN)}))
        if not self.leads:
            record.clear()
            record.update(told)
        return bool(stop)

    def _drawn(self) -> Any:
        # A gradient that draws from this generator draws by the size of its part, and the next order differs.
        return None if self._rng is None else self._rng.bit_generator.state

    def agree(
        self,
        params: Any,
        values: Mapping[str, Any],
        samples: Mapping[str, Sequence[Array]],
        rng: np.random.Generator | None,
    ) -> None:
        """Raise on all ranks unless the optimizer steps ``params``, and they are about to train alike."""
        self._rng = rng

        def lines() -> list[str]:
            self._optimizer.check_params(params)
            said = [f"{name}={value!r}" for name, value in values.items()]
            for name, arrays in samples.items():
                said += [f"{name}[{index}] of {describe(array)}" for index, array in enumerate(arrays)]
                said.append(f"{name} with values of checksum {checksum(arrays)}")
            return [*said, f"rng in state {self._drawn()}"]

        self._agree(lines)

    def of_leader(self, value: Any) -> Any:
        """Return what rank 0 has for ``value``."""
        with Waiting(self._comm, f"fit, after {self._batches} batches", self._optimizer.timeout):
            return self._comm.bcast(value)

    def go(self, train: Callable[[], None], history: History, clock: Callable[[], bool]) -> None:
        """Let the loop of this rank run. Ctrl-C on any rank ends the run of all, at the same step."""
        self._clock = clock

        def listen(*_: Any) -> None:
            self._interrupted = True

        with handling_ctrl_c(listen):
            train()
            with Waiting(self._comm, "the end of fit", self._optimizer.timeout):
                (interrupts,) = self._exchanged([self._interrupted])
            if any(interrupts):  # after the last step
                history.stopped = "interrupted"
        self._optimizer.check()

    def save(self, path: Path, params: Any, **others: Any) -> None:
        """Write a checkpoint, as :func:`gdcore.distributed.save` does."""
        save(path, params, self._optimizer, **others)

    def read(self, path: Path) -> Checkpoint:
        """Read a checkpoint on all ranks."""
        return read(path, self._comm, self._optimizer.timeout)

    def restore(self, checkpoint: Checkpoint, path: Path, params: Any, rng: np.random.Generator | None) -> None:
        """Set parameters, optimizer and generator of all ranks to what they were."""
        restore(checkpoint, path, params, self._optimizer, rng)


def _raised(error: BaseException | None) -> list[str]:
    if error is not None:
        raise error
    return []
