"""What a run says of itself: a table with a line an epoch, a summary, and warnings of how it ended."""

import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..models import shortcomings
from ..training import History, Record, write
from .aligned import Aligned
from .errors import is_unread

Titles = tuple[tuple[str, str], ...]
"""Keys of the record, each with its title."""

LINES: Final = 50
"""How many epochs are shown at most, unless all are asked for."""


def warn(message: str) -> None:
    """Print a warning to standard error."""
    print(f"gdcore: warning: {message}", file=sys.stderr)


def say(text: str, *, needed: bool) -> None:
    """Print to standard output. Unless that is all a run is for, nobody need read it to the end."""
    try:
        write(text)
    except OSError as error:
        if needed or not is_unread(error):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@dataclass(frozen=True)
class Voice:
    """What a run says on standard output: texts; with ``json`` an object a line in their place; ``quiet``, nothing.

    ``needed`` says that a run whose output nobody reads any more is of no use.
    """

    needed: bool
    json: bool = False
    quiet: bool = False

    def text(self, text: str) -> None:
        """Say something to people."""
        if not (self.json or self.quiet):
            say(text, needed=self.needed)

    def data(self, event: str, values: Mapping[str, Any]) -> None:
        """Say something to programs; a number that is not finite is null."""
        if self.json:
            finite = {
                key: None if isinstance(value, float) and not math.isfinite(value) else value
                for key, value in values.items()
            }
            say(json.dumps({"event": event, **finite}, ensure_ascii=False, allow_nan=False), needed=self.needed)


def counted(n: int, what: str) -> str:
    """Return how many there are of what, in the plural where there is need."""
    plural = {"class": "classes"}.get(what, f"{what}s")
    return f"{n} {what if n == 1 else plural}"


def brief(value: float) -> str:
    """Return a value as tables and summaries show it."""
    return f"{value:.6g}"


def scored(name: str, value: float, rows: int) -> str:
    """Return in words how good predictions are."""
    return (
        f"{name} {value:.4f} over {rows} rows" if name == "accuracy" else f"{name} {brief(value)} over {rows} rows"
    )


@dataclass(frozen=True)
class Measure:
    """How a kind of run is told: what its columns are, which error has to fall, and what knowing nothing gives.

    Arguments:
        columns: keys of the record, each with its title.
        error: the key whose value falls as the model learns, over the rows trained on, and its name.
        alone: how good a constant prediction is, and in words.
    """

    columns: Titles
    error: tuple[str, str]
    alone: tuple[float, str]

    @property
    def judged(self) -> tuple[str, str]:
        """The key and the title that the summary goes by: the last column for the rows held out, or trained on."""
        return next((key, title) for key, title in reversed(self.columns) if key != "lr")


REGRESSION: Final[Titles] = (("rmse", "train RMSE"), ("validation_rmse", "validation RMSE"))
CLASSIFICATION: Final[Titles] = (
    ("cross_entropy", "train loss"),
    ("accuracy", "train accuracy"),
    ("validation_cross_entropy", "validation loss"),
    ("validation_accuracy", "validation accuracy"),
)


class EpochTable:
    """The table with a line an epoch, of which it says every ``every``-th, the first and the last."""

    def __init__(self, columns: Titles, epochs: int, every: int | None, voice: Voice) -> None:
        self.voice = voice
        self.keys = ("epoch", *(key for key, _ in columns))
        self.epochs = epochs
        self.every = every or (1 if voice.json else -(-epochs // LINES))
        digits = {"lr": ".3g"}
        self._lines = Aligned(
            ("epoch", ">5"),
            *((title, f">{max(17, len(title) + 2)}{digits.get(key, '.6g')}") for key, title in columns),
        )

    def head(self) -> str:
        """Return the line with the titles."""
        return self._lines.head()

    def show(self, record: Record, _params: Any) -> None:
        """Say the line of an epoch, if its turn has come; a callback of :func:`gdcore.fit`."""
        epoch = record["epoch"]
        if epoch in {1, self.epochs} or not epoch % self.every:
            self.voice.text(self._lines.line(*(record[key] for key in self.keys)))
            self.voice.data("epoch", record)


def summary(history: History, measure: Measure, judged: str, *, best_kept: bool) -> str:
    """Return in a line how the run went: how good, as ``judged``, and how it ended."""
    records = history.records
    key, title = measure.judged
    best = history.best
    if best_kept:
        reached = f"{brief(best[key])} (epoch {best['epoch']}, the best one, whose weights are kept)"
    else:
        reached = f"{brief(records[-1][key])} (best epoch {best['epoch']}: {brief(best[key])})"
    ended = {
        "epochs": "",
        "patience": f", stopped as {history.monitor.replace('_', ' ')} got no better",
        "interrupted": ", interrupted",
    }.get(history.stopped, "")
    return f"{title} {reached}; {judged}; {counted(len(records), 'epoch')}{ended}"


def pace(history: History, rows: int) -> str:
    """Return how long the steps of a run took, and how quick they were."""
    seconds = sum(record["seconds"] for record in history.records)
    return f"{seconds:.3g} s, {rows * len(history) / max(seconds, 1e-9):.3g} samples/s"


def warn_of_outcome(history: History, measure: Measure, best: float | None, *, steady: bool) -> None:
    """Warn of what has to be said of a run; ``best`` is the error of the linear fit that it should have found."""
    key, name = measure.error
    validation = None
    if history.monitor.startswith("validation"):
        validation = [history.monitored(record) for record in history.records]
    for said in shortcomings(
        [record[key] for record in history.records],
        name,
        measure.alone,
        lambda option: "--schedule cosine" if option == "schedule" else f"--{option.replace('_', '-')}",
        validation=validation,
        done=history.stopped == "epochs",
        steady=steady,
        separated=history.records[-1].get("accuracy") == 1,
        best=best,
    ):
        warn(said)
