"""Who makes the steps of a run: this process alone, or several that train together."""

import numbers
from collections.abc import Callable, Generator, Mapping, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..arguments import Array, describe, is_array
from ..checkpoints import Checkpoint, read, restore, save
from ..clipping import Limits
from ..data import count
from ..stepping import Optimizer
from ..trees import take_apart
from .history import History, Record

ValueAndGrad = Callable[..., tuple[Any, Any]]
Callback = Callable[[Record, Any], bool | None]


def checked_pair(
    returned: Any, name: str = "value_and_grad", way_out: str = "gd.value_and_grad(f) does, of a loss f"
) -> tuple[Any, Any]:
    """Return a loss and its gradients, which ``name`` returned; raise TypeError, with ``way_out``, for others."""
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        got = f"{len(returned)} items" if isinstance(returned, tuple | list) else type(returned).__name__
        raise TypeError(f"{name}: expected to return a loss and its gradients, got {got}; {way_out}")
    return returned[0], returned[1]


def checked_loss(value: Any, name: str = "value_and_grad") -> float:
    """Return a loss, which ``name`` returned, as a float; raise TypeError unless it is a real number.

    It may be of torch or jax, with the shape of a number.
    """
    real = isinstance(value, numbers.Real) or (is_array(value) and value.ndim == 0 and value.dtype.kind in "fiu")
    if not real and not is_array(value) and getattr(value, "shape", None) == () and hasattr(value, "__dlpack__"):
        value = np.asarray(value.detach() if hasattr(value, "detach") else value)
        real = value.dtype.kind not in "bcO"
    if not real or isinstance(value, bool | np.bool_):
        got = f"{value.dtype} {value.shape}" if is_array(value) else type(value).__name__
        raise TypeError(f"{name}: expected a loss that is one real number, got {got}")
    return float(value)


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
        samples: Mapping[str, Sequence[Any]],
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


class Accumulating(Alone):
    """The same, where a step takes several batches: by the mean of their gradients, each weighed by its samples.

    The sum is in arrays of its own, as the next call may write to the gradients of this one.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.one, self.value_and_grad = self.value_and_grad, self._accumulated
        self.step = self._mean_step
        self.sums: list[Any] = []
        self.scale = 1.0

    def _accumulated(self, params: Any, *batches: tuple[Any, ...]) -> tuple[float, Any]:
        counts = [*map(count, batches)]
        total, put_back, sums = 0.0, None, self.sums
        for index, (batch, n) in enumerate(zip(batches, counts, strict=True)):
            value, grads = checked_pair(self.one(params, *batch))
            total += checked_loss(value) * n
            leaves, put_back = take_apart(grads)
            if index == 0:
                sums = [_kept(own, leaf) for own, leaf in zip_longest(sums[: len(leaves)], leaves)]
            else:
                sums = [_sum(own, leaf, n / counts[0]) for own, leaf in zip(sums, leaves, strict=True)]
        assert put_back is not None
        self.sums, self.scale = sums, counts[0] / sum(counts)
        return total / sum(counts), put_back(sums)

    def _mean_step(self, grads: Any) -> None:
        if isinstance(self.optimizer, Optimizer):
            self.optimizer.step(grads, scale=self.scale, **vars(self.limits))
        else:
            for own in self.sums:
                if own is not None:
                    np.multiply(own, self.scale, out=own)
            self.optimizer.step(self.limits.applied(grads) if self.limits.given else grads)


def grouped(batches: Generator[Any, None, None], size: int) -> Generator[Any, None, None]:
    """Return the batches in tuples of ``size``, the last with those that are left; with 1, themselves."""
    return batches if size == 1 else _grouped(batches, size)


def _grouped(batches: Generator[Any, None, None], size: int) -> Generator[Any, None, None]:
    while group := tuple(islice(batches, size)):
        yield group


def _kept(own: Any, grad: Any) -> Any:
    """Return a copy of a gradient, in the array ``own`` if that is like it."""
    if grad is None:
        return None
    grad = np.asarray(grad)
    if grad.dtype.kind != "f":
        raise TypeError(f"accumulate: expected gradients in arrays of floats, got {describe(grad)}")
    if own is None or own.shape != grad.shape or own.dtype != grad.dtype:
        return grad.copy()
    np.copyto(own, grad)
    return own


def _sum(own: Any, grad: Any, weight: float) -> Any:
    """Add a gradient to the array ``own``, with a weight."""
    if own is None or grad is None:
        return own if grad is None else _kept(None, grad * weight)
    grad = np.asarray(grad)
    if grad.shape != own.shape or grad.dtype != own.dtype:
        raise TypeError(f"accumulate: expected {describe(own)} as in the first batch, got {describe(grad)}")
    own += grad if weight == 1.0 else grad * own.dtype.type(weight)
    return own
