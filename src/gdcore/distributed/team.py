"""Training by several ranks: what the loop is given so that each works on its part of every mini-batch.

The loop of a rank sees whole batches, their loss, and a record that is the same on all ranks. What it decides from
these is decided alike everywhere, so that no rank waits for one that has left.
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..arguments import describe
from ..checkpoints import Checkpoint
from ..clipping import Limits
from ..training import DivergenceError, Loop, Record, Saver, checked_loss, checked_pair, checksum
from .agreement import Comm, agree
from .checkpoint import load, save
from .interrupts import handling_ctrl_c
from .optimizer import ShardedOptimizer

Array = np.ndarray[Any, Any]

PLAIN: Final = (bool, int, float, str, type(None))
"""What a record may hold that all ranks get."""


class Team:
    """The ranks of a run of :func:`gdcore.fit`. It stands for the optimizer in the loop of each."""

    def __init__(
        self,
        comm: Comm,
        optimizer: Any,
        value_and_grad: Callable[..., tuple[float, Any]],
        callback: Callable[[Record, Any], bool | None] | None,
        limits: Limits,
    ) -> None:
        if not isinstance(optimizer, ShardedOptimizer):
            raise TypeError(
                f"optimizer: expected a gd.distributed.ShardedOptimizer with comm, got {type(optimizer).__name__}"
            )
        if optimizer.comm is not comm:
            raise ValueError("comm: expected the communicator of the optimizer, got another")
        for name, limit in vars(limits).items():
            if limit is not None:
                raise ValueError(f"{name}: expected None with comm, got {limit}; give it to the ShardedOptimizer")
        self.optimizer = optimizer
        self.saver: Saver | None = None
        self._comm, self._rank, self._ranks = comm, comm.Get_rank(), comm.Get_size()
        self._value_and_grad, self._callback = value_and_grad, callback
        self._rng: np.random.Generator | None = None
        self._loop: Loop | None = None
        self._interrupted = False
        self._begun = 0  # steps
        self._weight = 1.0
        self._next_save = math.inf

    @property
    def t(self) -> int:
        """The number of steps taken."""
        return self.optimizer.t

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self.optimizer.lr

    @lr.setter
    def lr(self, value: float) -> None:
        self.optimizer.lr = value

    def state_dict(self) -> dict[str, Any]:
        """Return the rule and the hyperparameters, by group; the state stays where it is."""
        return {"rule": self.optimizer.rule, "groups": [dict(group) for group in self.optimizer.groups]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where ``state_dict`` was taken."""
        self.optimizer.load_state_dict(state_dict)

    def step(self, grads: Any) -> None:
        """Step by the gradients of this rank's part of a batch."""
        try:
            self.optimizer.step(grads, weight=self._weight)
        except FloatingPointError as error:
            assert self._loop is not None
            epoch, step = (1 + whole for whole in divmod(self._begun - 1, self._loop.steps_an_epoch))
            said = f"{error} at step {step} of epoch {epoch}; try a smaller lr"
            raise DivergenceError(said, epoch, step, self._loop.run.history) from error

    def value_and_grad(self, params: Any, *batch: Array) -> tuple[float, Any]:
        """Return the loss of the whole batch, and the gradient of the loss of this rank's part.

        A rank whose part is empty computes a sample of another one, which then counts nothing.
        """
        count = len(batch[0])
        low, high = (rank * count // self._ranks for rank in (self._rank, self._rank + 1))
        self._weight = (high - low) * self._ranks / count
        self._begun += 1
        part = slice(low, max(high, low + 1))
        failed: BaseException | None = None
        loss, grads = 0.0, None
        try:
            value, grads = checked_pair(self._value_and_grad(params, *(array[part] for array in batch)))
            loss = checked_loss(value) * (high - low) if low < high else 0.0
            if self._ranks > 1:
                self.optimizer.flat_grads(grads)
        except KeyboardInterrupt:
            self._interrupted = True
        except BaseException as error:  # a SystemExit too would leave the others waiting
            failed = error
        sums, fails, interrupts, dues = self._exchanged([loss, failed is not None, self._interrupted, self._due()])
        if any(fails):
            agree(self._comm, lambda: _raised(failed))
        if any(interrupts):
            raise KeyboardInterrupt
        if self.saver is not None:
            self.saver.due = -math.inf if dues[0] else math.inf
        return sum(sums) / count, grads

    def _exchanged(self, row: list[float]) -> list[list[float]]:
        # What each rank says, by column.
        rows = np.empty((self._ranks, len(row)))
        self._comm.Allgather(np.array(row, np.float64), rows)
        columns: list[list[float]] = rows.T.tolist()
        return columns

    def _due(self) -> bool:
        # Whether this rank's clock says that it is time to save; that of rank 0 decides.
        if self.saver is None:
            return False
        if math.isfinite(self.saver.due):
            self._next_save = self.saver.due
        return time.perf_counter() >= self._next_save

    def callback(self, record: Record, params: Any) -> bool:
        """Let rank 0 call the callback of the user, and give its record to all; return whether to stop."""

        def call() -> list[str]:
            if self._rank == 0 and self._callback is not None:
                try:
                    returned = self._callback(record, params)
                except KeyboardInterrupt:
                    self._interrupted, returned = True, None
                told["stop"] = isinstance(returned, bool | np.bool_) and bool(returned)
            return [f"rng after epoch {record['epoch']} in state {self._drawn()}"]

        told: dict[str, Any] = {"stop": False}
        agree(self._comm, call)
        plain = {key: value.item() if isinstance(value, np.generic) else value for key, value in record.items()}
        told["record"] = {key: value for key, value in plain.items() if isinstance(value, PLAIN)}
        told = self.told(told)
        if self._rank:
            record.clear()
            record.update(told["record"])
        return bool(told["stop"])

    def _drawn(self) -> Any:
        # A gradient that draws from this generator draws by the size of its part, and the next order differs.
        return None if self._rng is None else self._rng.bit_generator.state

    def agree(
        self,
        values: Mapping[str, Any],
        samples: Mapping[str, Sequence[Array]],
        rng: np.random.Generator | None,
    ) -> None:
        """Raise RuntimeError on all ranks unless they are about to train alike."""
        self._rng = rng

        def lines() -> list[str]:
            said = [f"{name}={value!r}" for name, value in values.items()]
            for name, arrays in samples.items():
                said += [f"{name}[{index}] of {describe(array)}" for index, array in enumerate(arrays)]
                said.append(f"{name} with values of checksum {checksum(arrays)}")
            return [*said, f"rng in state {self._drawn()}"]

        agree(self._comm, lines)

    def told(self, value: Any) -> Any:
        """Return what rank 0 has for ``value``, which JSON can say."""
        return broadcast(self._comm, value)

    def go(self, loop: Loop, epochs: int, progress: bool | None) -> None:
        """Let the loop of this rank run. Ctrl-C on any rank ends the run of all, at the same step."""
        self.saver, self._loop = loop.saver, loop
        self._begun = (loop.run.epoch - 1) * loop.steps_an_epoch + loop.run.at[1]

        def listen(*_: Any) -> None:
            self._interrupted = True

        with handling_ctrl_c(listen):
            loop.go(epochs, progress if self._rank == 0 else False)
            (interrupts,) = self._exchanged([self._interrupted])
            if any(interrupts):  # after the last step
                loop.run.history.stopped = "interrupted"
        self.optimizer.check()

    def save(self, path: str | Path, params: Any, _: Any, **others: Any) -> None:
        """Write a checkpoint, as :func:`gdcore.distributed.save` does."""
        save(path, params, self.optimizer, **others)

    def load(self, path: str | Path, **targets: Any) -> Checkpoint:
        """Read a checkpoint, as :func:`gdcore.distributed.load` does."""
        if "optimizer" in targets:
            targets["optimizer"] = self.optimizer
        return load(path, comm=self._comm, **targets)


def _raised(error: BaseException | None) -> list[str]:
    if error is not None:
        raise error
    return []


def broadcast(comm: Comm, value: Any) -> Any:
    """Return what rank 0 has for ``value``, which JSON can say."""
    text = json.dumps(value).encode() if comm.Get_rank() == 0 else b""
    length = np.array([len(text)], np.int64)
    comm.Bcast(length)
    buffer = np.frombuffer(bytearray(text) if text else bytearray(int(length[0])), np.uint8)
    comm.Bcast(buffer)
    return json.loads(buffer.tobytes())
