"""What happened in a run: one record an epoch."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

Record = dict[str, Any]
"""What is known of one epoch, by name."""


class History:
    """What happened in a run of :func:`gdcore.fit`: one record, a plain dict, an epoch.

    Attributes:
        records: the records, in order.
        monitor: the key by which epochs are compared.
        larger_is_better: True if a larger value of ``monitor`` is the better one.
        stopped: why the run ended: ``"epochs"`` (all done), ``"patience"``, ``"callback"``, ``"interrupted"``.

    >>> history = History([{"epoch": 1, "loss": 4.0, "seconds": 0.1}, {"epoch": 2, "loss": 1.0, "seconds": 0.1}])
    >>> history
    History(2 epochs, loss 4 -> 1, 0.2 s)
    >>> history["loss"], history[-1]["epoch"], [record["seconds"] for record in history]
    ([4.0, 1.0], 2, [0.1, 0.1])
    >>> history.best["epoch"]
    2
    """

    def __init__(self, records: list[Record], monitor: str = "loss", *, larger_is_better: bool = False) -> None:
        self.records = records
        self.monitor = monitor
        self.larger_is_better = larger_is_better
        self.stopped = "epochs"

    @property
    def best(self) -> Record:
        """The record whose ``monitor`` is best, the earliest of equal ones.

        Raises ValueError where no record has a number for it.
        """
        known = [record for record in self.records if not math.isnan(self.monitored(record))]
        if not known:
            raise ValueError(f"history: expected a record with {self.monitor!r}, got none in {len(self)}")
        return min(known, key=self.cost)

    def monitored(self, record: Record) -> float:
        """Return the value of ``monitor`` in a record, nan where it has none."""
        value = record.get(self.monitor)
        return math.nan if value is None else float(value)

    def cost(self, record: Record) -> float:
        """Return the value of ``monitor`` in a record, with the sign that makes smaller better."""
        return -self.monitored(record) if self.larger_is_better else self.monitored(record)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the records by column; None where a record lacks a key that another has."""
        keys = dict.fromkeys(key for record in self.records for key in record)
        return {key: [record.get(key) for record in self.records] for key in keys}

    def plot(self, path: "str | Path | None" = None) -> Any:
        """Draw the curves of the run with matplotlib (the extra ``plot``), and return the figure.

        Arguments:
            path: where to save it, named ``*.png``, ``*.pdf`` or ``*.svg``; None saves nothing.

        Raises ValueError for a path of another name, OSError where it cannot be written, and ImportError without
        matplotlib.
        """
        from ..plots import history  # noqa: PLC0415

        return history(self, path)

    def __getitem__(self, key: Any) -> Any:
        """Return the values of a column, by its key, or a record or several, by index or slice."""
        if not isinstance(key, str):
            return self.records[key]
        columns = self.to_dict()
        if key not in columns:
            raise KeyError(f"{key}: expected a key of the records, one of {', '.join(columns) or 'none'}")
        return columns[key]

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        if not self.records:
            return "History(0 epochs)"
        seconds = sum(record.get("seconds", 0.0) for record in self.records)
        first, last = (self.records[index].get("loss", math.nan) for index in (0, -1))
        plural = "" if len(self.records) == 1 else "s"
        return f"History({len(self.records)} epoch{plural}, loss {first:.6g} -> {last:.6g}, {seconds:.3g} s)"
