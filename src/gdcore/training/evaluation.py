"""What the record of an epoch tells of the parameters: metrics over the samples trained on, and over others."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..arguments import Array, describe, flag
from ..metrics import CHUNK, Metric
from .batches import check_arrays
from .history import History, Record

RESERVED = ("epoch", "loss", "lr", "seconds")
"""The keys of a record that no metric may take."""


class Evaluation:
    """The metrics of a run, and the samples that they are taken over.

    Raises TypeError or ValueError for what :func:`gdcore.fit` does not take.
    """

    def __init__(
        self,
        value_and_grad: Callable[..., tuple[Any, Any]],
        metrics: Mapping[str, Callable[..., float]] | None,
        data: Sequence[Array],
        validation: Sequence[Array] | None,
        running: bool,
        patience: int | None,
    ) -> None:
        self.value_and_grad = value_and_grad
        self.metrics = _checked_metrics({} if metrics is None else metrics)
        self.data = data
        self.validation = validation
        self.running = tuple(self.metrics.items()) if flag("running", running) else ()
        self.patience = patience
        self.loss_after = False
        if validation is not None:
            if not isinstance(validation, tuple | list):
                raise TypeError(f"validation: expected a tuple of arrays, got {type(validation).__name__}")
            check_arrays("validation", validation)
            if len(validation) != len(data):
                raise ValueError(f"validation: expected {len(data)} arrays, as in data, got {len(validation)}")

    def history(self, monitor: str | None, *, open_ended: bool) -> History:
        """Return an empty history that compares epochs by ``monitor``.

        Patience puts back the parameters after an epoch, so it compares what is theirs: the loss is then worked out
        after the epoch.

        Raises TypeError or ValueError for one that no record will have; with ``open_ended`` a callback may add it.
        """
        keys = ["loss", *(f"running_{name}" for name, _ in self.running), *self.metrics]
        if self.validation is not None:
            keys += ["validation_loss", *(f"validation_{name}" for name in self.metrics)]
        first = next(iter(self.metrics), "loss")
        default = first if self.validation is None else f"validation_{first}"
        if monitor is not None and not isinstance(monitor, str):
            raise TypeError(
                f"monitor: expected a key of the record, got {monitor!r} of type {type(monitor).__name__}"
            )
        if monitor is not None and monitor not in keys and not open_ended:
            raise ValueError(f"monitor: expected one of {', '.join(map(repr, keys))}, got {monitor!r}")
        key = default if monitor is None else monitor
        if self.patience is not None and key.startswith("running_"):
            raise ValueError(
                f"monitor: expected a value of the parameters after an epoch with patience, which puts them back, "
                f"got {key!r}, which is met during it; {key.removeprefix('running_')!r} is one"
            )
        self.loss_after = self.patience is not None and key == "loss"
        metric = self.metrics.get(key.removeprefix("validation_").removeprefix("running_"))
        return History([], key, larger_is_better=isinstance(metric, Metric) and metric.larger_is_better)

    def met(self, params: Any, batch: tuple[Array, ...]) -> tuple[float, ...]:
        """Return the running metrics of a batch, summed over its samples."""
        return tuple(
            metric.total(params, *batch) if isinstance(metric, Metric) else len(batch[0]) * metric(params, *batch)
            for _, metric in self.running
        )

    def record(self, params: Any, sums: tuple[float, ...]) -> Record:
        """Return what is known after an epoch; ``sums`` are those over its samples: of the loss, and of ``met``."""
        n = len(self.data[0])
        record: Record = {"loss": sums[0] / n}
        if self.loss_after:
            record = {"loss": self._loss(params, self.data), "running_loss": record["loss"]}
        for (name, metric), total in zip(self.running, sums[1:], strict=True):
            record[f"running_{name}"] = metric.finish(total / n) if isinstance(metric, Metric) else total / n
        for name, metric in self.metrics.items():
            record[name] = _told(name, metric(params, *self.data))
        if self.validation is not None:
            record["validation_loss"] = self._loss(params, self.validation)
            for name, metric in self.metrics.items():
                record[f"validation_{name}"] = _told(name, metric(params, *self.validation))
        return record

    def _loss(self, params: Any, arrays: Sequence[Array]) -> float:
        total = 0.0
        for start in range(0, len(arrays[0]), CHUNK):
            batch = [array[start : start + CHUNK] for array in arrays]
            total += float(self.value_and_grad(params, *batch)[0]) * len(batch[0])
        return total / len(arrays[0])


def _told(name: str, value: Any) -> float:
    if np.ndim(value) or not np.isrealobj(value):
        raise TypeError(f"metrics[{name!r}]: expected to return one real number, got {describe(value)}")
    return float(value)


def _checked_metrics(metrics: Any) -> dict[str, Callable[..., float]]:
    if not isinstance(metrics, Mapping):
        raise TypeError(f"metrics: expected a dict of callables by name, got {type(metrics).__name__}")
    for name, metric in metrics.items():
        if not isinstance(name, str):
            raise TypeError(f"metrics: expected names of type str, got {name!r} of type {type(name).__name__}")
        if name in RESERVED or name.startswith(("running_", "validation_")):
            raise ValueError(f"metrics: expected names that the record does not have already, got {name!r}")
        if not callable(metric):
            raise TypeError(f"metrics[{name!r}]: expected a callable, got {type(metric).__name__}")
    return dict(metrics)
