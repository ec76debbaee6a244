"""Who hears of an epoch: the callbacks of the user, the line that ``verbose`` prints, and what lowers the rate."""

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..arguments import check_callable, checked_int, checked_number, flag
from .history import Record
from .progress import write
from .rates import told
from .team import Callback


class ReduceOnPlateau:
    """A callback of :func:`gdcore.fit` that lowers the learning rate where the run gets no better.

    After ``patience`` epochs in a row that are no better than the best, the next one multiplies the rate of each
    group by ``factor``, and the counting begins anew. An epoch is better if its value is below
    ``best - threshold * |best|``; that is torch's ``ReduceLROnPlateau`` for values > 0. The record gets ``lr``,
    with which the epoch was trained (``lr_0``, ``lr_1`` ... where groups differ). A run that is resumed goes on
    with what its records say.

    Arguments:
        optimizer: that of the run.
        factor: > 0 and < 1.
        patience: an int >= 0.
        monitor: the key of the record, such as ``"validation_loss"``.
        threshold: >= 0.
        min_lr: the rate below which none is lowered, >= 0.
        larger_is_better: True for the likes of accuracy.

    Raises TypeError or ValueError for an argument out of its range, and, called, for a record without a number
    at ``monitor``.

    >>> import numpy as np, gdcore as gd
    >>> optimizer = gd.SGD(np.zeros(1), lr=0.5)
    >>> reduce = gd.ReduceOnPlateau(optimizer, factor=0.1, patience=1)
    >>> for epoch in range(4):
    ...     reduce({"epoch": epoch, "loss": 2.0}, None)
    >>> optimizer.lr
    0.05
    """

    def __init__(
        self,
        optimizer: Any,
        *,
        factor: float = 0.1,
        patience: int = 10,
        monitor: str = "loss",
        threshold: float = 1e-4,
        min_lr: float = 0.0,
        larger_is_better: bool = False,
    ) -> None:
        if not hasattr(optimizer, "groups"):
            raise TypeError(f"optimizer: expected one of gdcore, got {type(optimizer).__name__}")
        if getattr(getattr(optimizer, "comm", None), "size", 1) > 1:
            raise TypeError("optimizer: expected one of one process, as rank 0 alone hears of epochs")
        self.optimizer = optimizer
        self.factor = checked_number("factor", factor, 0, above=True)
        if self.factor >= 1:
            raise ValueError(f"factor: expected a number > 0 and < 1, got {factor!r}")
        self.patience = checked_int("patience", patience, 0)
        if not isinstance(monitor, str):
            raise TypeError(f"monitor: expected a key of the record, got {monitor!r}")
        self.monitor = monitor
        self.threshold = checked_number("threshold", threshold, 0, above=False)
        self.min_lr = checked_number("min_lr", min_lr, 0, above=False)
        self.sign = -1.0 if flag("larger_is_better", larger_is_better) else 1.0
        self.resume(())

    def resume(self, records: Sequence[Record]) -> None:
        """Stand where ``records`` of the epochs before lead to; the rates are the optimizer's."""
        self.best, self.waited = math.inf, 0
        for record in records:
            self._is_time(record)

    def __call__(self, record: Record, params: Any) -> None:
        """Hear of an epoch."""
        record.update(told(self.optimizer))
        if self._is_time(record):
            for group in self.optimizer.groups:
                group["lr"] = min(group["lr"], max(group["lr"] * self.factor, self.min_lr))

    def _is_time(self, record: Record) -> bool:
        value = record.get(self.monitor)
        if not isinstance(value, numbers.Real):
            keys = ", ".join(map(repr, record))
            raise ValueError(f"monitor: expected a number in the record, one of {keys}, got {self.monitor!r}")
        cost = self.sign * float(value)
        if cost < (self.best if math.isinf(self.best) else self.best - self.threshold * abs(self.best)):
            self.best, self.waited = cost, 0
        else:
            self.waited += 1
        late = self.waited > self.patience
        if late:
            self.waited = 0
        return late


ReduceOnPlateau.__module__ = "gdcore"


def checked_callbacks(callback: Any, schedule: Any) -> tuple[Callable[..., Any], ...]:
    """Return the callbacks of the user; raise TypeError or ValueError for others."""
    if callback is None:
        return ()
    if not isinstance(callback, list | tuple):
        check_callable("callback", callback, optional=True)
        callback = (callback,)
    for index, each in enumerate(callback):
        check_callable(f"callback[{index}]", each)
        if schedule is not None and isinstance(each, ReduceOnPlateau):
            raise ValueError("schedule: expected None with ReduceOnPlateau, as both set the learning rate")
    return tuple(callback)


def heard(callbacks: Sequence[Callable[..., Any]], optimizer: Any, verbose: int, epochs: int) -> Callback:
    """Return what hears of an epoch: callbacks, who reads the line, the optimizer of what became of its arrays."""
    check_params = getattr(optimizer, "check_params", None)

    def hear(record: Record, params: Any) -> bool:
        returned = [_returned(callback, record, params) for callback in callbacks]
        if check_params is not None:
            check_params(params)
        if verbose:
            write(line(record, epochs))
        return any(isinstance(stop, bool | np.bool_) and stop for stop in returned)

    return hear


def _returned(callback: Callable[..., Any], record: Record, params: Any) -> Any:
    try:
        return callback(record, params)
    except StopIteration:  # SciPy's way to end
        return True


def line(record: Record, epochs: int) -> str:
    """Return what is printed of an epoch."""
    shown = {key: value for key, value in record.items() if key not in {"epoch", "seconds"}}
    parts = [f"{key} {_told(value)}" for key, value in shown.items()]
    return f"epoch {record['epoch']}/{epochs}: {', '.join(parts)}, {record['seconds']:.3g} s"


def _told(value: Any) -> str:
    return f"{float(value):.6g}" if isinstance(value, numbers.Real) else str(value)
