"""Who makes the steps of a run: this process alone, or several that train together."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..arguments import Array
from ..checkpoints import Checkpoint, read, restore, save
from ..clipping import Limits
from ..stepping import Optimizer
from .history import History, Record

ValueAndGrad = Callable[..., tuple[Any, Any]]
Callback = Callable[[Record, Any], bool | None]


class Team(Protocol):
    """What a run does otherwise where several processes train together.

    An optimizer over several processes returns one from ``team(comm, value_and_grad, callback, limits)``. The loop
    of each process sees whole batches, their loss, and a record that is the same in all of them, so that what it
    decides is decided alike everywhere.
    """

    @property
    def leads(self) -> bool:
        """Whether this process shows the bar; one of all does."""

    @property
    def limits(self) -> Limits:
        """The limits on the gradients."""

    def value_and_grad(self, params: Any, /, *batch: Array) -> tuple[Any, Any]:
        """Return the loss of a batch, and what ``step`` takes."""

    def step(self, grads: Any, /) -> object:
        """Update the parameters in place. Raises FloatingPointError for gradients that are not finite."""

    def callback(self, record: Record, params: Any, /) -> bool | None:
        """Hear of an epoch; return whether to stop."""

    def agree(
        self,
        params: Any,
        values: Mapping[str, Any],
        samples: Mapping[str, Sequence[Array]],
        rng: "np.random.Generator | None",
    ) -> None:
        """Raise an exception unless the optimizer steps ``params``, and all are about to train alike."""

    def of_leader(self, value: Any) -> Any:
        """Return what the leader has for ``value``."""

    def go(self, train: Callable[[], None], history: History, clock: Callable[[], bool]) -> None:
        """Let ``train`` run; ``clock`` says whether it is time to save, as this process has it."""

    def due(self) -> bool:
        """Return whether it is time to save."""

    def hyperparameters(self) -> dict[str, Any]:
        """Return the rule and the groups of the optimizer's state dict."""

    def save(self, path: Path, params: Any, **others: Any) -> None:
        """Write a checkpoint, as :func:`gdcore.save` does, with the optimizer."""

    def read(self, path: Path) -> Checkpoint:
        """Read a checkpoint."""

    def restore(self, checkpoint: Checkpoint, path: Path, params: Any, rng: "np.random.Generator | None") -> None:
        """Set parameters, optimizer and generator to what they were."""


class Alone:
    """The :class:`Team` of one process."""

    leads = True

    def __init__(self, optimizer: Any, value_and_grad: ValueAndGrad, callback: Callback, limits: Limits) -> None:
        self.optimizer = optimizer
        self.limits = limits
        self.value_and_grad = value_and_grad
        self.callback = callback
        self.step: Callable[[Any], object] = self._limited_step if limits.given else optimizer.step
        self.due: Callable[[], bool] = lambda: False

    def _limited_step(self, grads: Any) -> None:
        if isinstance(self.optimizer, Optimizer):
            self.optimizer.step(grads, **vars(self.limits))
        else:  # which need know nothing of limits
            self.optimizer.step(self.limits.applied(grads))

    def agree(self, params: Any, *_: Any) -> None:
        """Raise ValueError unless the optimizer steps ``params``, if it knows."""
        if hasattr(self.optimizer, "check_params"):
            self.optimizer.check_params(params)

    def of_leader(self, value: Any) -> Any:
        """Return ``value``."""
        return value

    def go(self, train: Callable[[], None], _: History, clock: Callable[[], bool]) -> None:
        """Train."""
        self.due = clock
        train()

    def hyperparameters(self) -> dict[str, Any]:
        """Return the rule and the groups of the optimizer's state dict."""
        state = self.optimizer.state_dict()
        return {"rule": state["rule"], "groups": state["groups"]}

    def save(self, path: Path, params: Any, **others: Any) -> None:
        """Write a checkpoint."""
        save(path, params, self.optimizer, **others)

    def read(self, path: Path) -> Checkpoint:
        """Read a checkpoint."""
        return read(path)

    def restore(self, checkpoint: Checkpoint, path: Path, params: Any, rng: "np.random.Generator | None") -> None:
        """Set parameters, optimizer and generator to what they were."""
        restore(checkpoint, path, params, self.optimizer, rng)
