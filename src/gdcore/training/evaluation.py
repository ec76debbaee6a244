"""What the record of an epoch tells of the parameters: metrics over the samples trained on, and over others."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..arguments import check_callable, describe, flag
from ..data import Batches, Samples, count, pieces, whole
from ..metrics import CHUNK, Metric, Statistic
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
        source: Samples | Batches,
        validation: Samples | Batches | None,
        running: bool,
        patience: int | None,
    ) -> None:
        self.value_and_grad = value_and_grad
        self.metrics = _checked_metrics({} if metrics is None else metrics)
        self.source = source
        self.validation = validation
        self.running = tuple(self.metrics.items()) if flag("running", running) else ()
        self.patience = patience
        self.loss_after = False
        whole = [name for name, metric in self.running if isinstance(metric, Statistic)]
        if whole:
            raise ValueError(
                f"running: expected metrics that are means over samples, got {', '.join(map(repr, whole))}, of all "
                f"samples at once; expected False with them"
            )
        if isinstance(validation, Samples) and isinstance(source, Samples):
            columns, own = validation.columns, source.columns
            if len(columns) != len(own):
                raise ValueError(f"validation: expected {len(own)} arrays, as in data, got {len(columns)}")
        if isinstance(source, Batches) and self.metrics and validation is None and not self.running:
            raise ValueError(
                "metrics: expected validation, or running=True, with a source of batches, which is gone through "
                "once an epoch"
            )
        for name, metric in self.metrics.items():
            if isinstance(validation, Batches) and not isinstance(metric, Metric | Statistic):
                raise TypeError(
                    f"metrics[{name!r}]: expected one of gd.metrics with a source of batches as validation, got "
                    f"{type(metric).__name__}, which wants all samples at once"
                )

    def history(self, monitor: str | None, *, open_ended: bool) -> History:
        """Return an empty history that compares epochs by ``monitor``.

        Patience puts back the parameters after an epoch, so it compares what is theirs: the loss is then worked out
        after the epoch.

        Raises TypeError or ValueError for one that no record will have; with ``open_ended`` a callback may add it.
        """
        own = list(self.metrics) if isinstance(self.source, Samples) else []
        keys = ["loss", *(f"running_{name}" for name, _ in self.running), *own]
        if self.validation is not None:
            keys += ["validation_loss", *(f"validation_{name}" for name in self.metrics)]
        first = next(iter(self.metrics), "loss")
        default = f"validation_{first}" if self.validation is not None else first if first in keys else "loss"
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
        if self.loss_after and isinstance(self.source, Batches):
            raise ValueError(
                "patience: expected validation with a source of batches, which is gone through once an epoch, so "
                "that nobody knows the loss of the parameters after it"
            )
        metric = self.metrics.get(key.removeprefix("validation_").removeprefix("running_"))
        return History([], key, larger_is_better=isinstance(metric, Metric | Statistic) and metric.larger_is_better)

    def met(self, params: Any, batch: tuple[Any, ...]) -> tuple[float, ...]:
        """Return the running metrics of a batch, summed over its samples."""
        return tuple(
            metric.total(params, *batch) if isinstance(metric, Metric) else count(batch) * metric(params, *batch)
            for _, metric in self.running
        )

    def record(self, params: Any, sums: tuple[float, ...]) -> Record:
        """Return what is known after an epoch; ``sums`` are those over its samples: of the loss, and of ``met``."""
        n = self.source.samples
        record: Record = {"loss": sums[0] / n}
        if self.loss_after:
            record = {"loss": self._loss(params, self.source), "running_loss": record["loss"]}
        for (name, metric), total in zip(self.running, sums[1:], strict=True):
            record[f"running_{name}"] = metric.finish(total / n) if isinstance(metric, Metric) else total / n
        if isinstance(self.source, Samples):
            record |= self._of_columns(params, self.source.columns)
        if self.validation is not None:
            values = self._over(params, self.validation)
            record |= {f"validation_{name}": value for name, value in values.items()}
        return record

    def _of_columns(self, params: Any, columns: Sequence[Any]) -> dict[str, float]:
        """Return the metrics over all samples: those of ``gd.metrics`` read them in pieces."""
        values = {}
        for name, metric in self.metrics.items():
            if isinstance(metric, Metric):
                value = metric(params, *columns)
            elif isinstance(metric, Statistic):
                value = metric(params, columns[0], *map(whole, columns[1:]))
            else:
                value = metric(params, *map(whole, columns))
            values[name] = _told(name, value)
        return values

    def _loss(self, params: Any, source: Samples | Batches) -> float:
        batches = source.batches(1) if isinstance(source, Batches) else pieces(source.columns, CHUNK)
        losses = (float(self.value_and_grad(params, *batch)[0]) * count(batch) for batch in batches)
        return sum(losses) / source.samples

    def _over(self, params: Any, source: Samples | Batches) -> dict[str, float]:
        """Return loss and metrics; of batches in one pass."""
        if isinstance(source, Samples):
            return {"loss": self._loss(params, source), **self._of_columns(params, source.columns)}
        loss, totals = 0.0, dict.fromkeys(self.metrics, 0.0)
        outputs: dict[str, list[Any]] = {name: [] for name in self.metrics}
        others: list[tuple[Any, ...]] = []
        for batch in source.batches(1):
            loss += float(self.value_and_grad(params, *batch)[0]) * count(batch)
            for name, metric in self.metrics.items():
                if isinstance(metric, Metric):
                    totals[name] += metric.total(params, *batch)
                elif isinstance(metric, Statistic):
                    outputs[name].append(np.asarray(metric.outputs(params, batch[0])))
            others.append(batch[1:])
        values = {"loss": loss / source.samples}
        for name, metric in self.metrics.items():
            if isinstance(metric, Metric):
                values[name] = metric.finish(totals[name] / source.samples)
            elif isinstance(metric, Statistic):
                values[name] = metric.of(
                    np.concatenate(outputs[name]), *map(np.concatenate, zip(*others, strict=True))
                )
        return values


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
        check_callable(f"metrics[{name!r}]", metric)
    return dict(metrics)
