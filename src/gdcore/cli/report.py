"""What a run says of itself: a table with a line an epoch, a summary, and warnings of how it ended."""

import os
import sys
from dataclasses import dataclass
from typing import Any, Final

from ..training import History, Record, write
from .aligned import Aligned

Titles = tuple[tuple[str, str], ...]
"""Keys of the record, each with its title."""

UNFINISHED: Final = 0.01
"""A run whose last tenth of epochs lowers the error by more than this part of it is not at its end."""

NEGLIGIBLE: Final = 1e-3
"""A run whose error is below this part of that of a constant prediction has learned enough."""

UNSTEADY: Final = 1.01
"""A run whose last error is this many times its best one wanders about the optimum."""

LINES: Final = 50
"""How many epochs are shown at most, unless all are asked for."""


def warn(message: str) -> None:
    """Print a warning to standard error."""
    print(f"gdcore: warning: {message}", file=sys.stderr)


def say(text: str, *, needed: bool) -> None:
    """Print to standard output. Unless that is all a run is for, nobody need read it to the end."""
    try:
        write(text)
    except BrokenPipeError:
        if needed:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def counted(n: int, what: str) -> str:
    """Return how many there are of what, in the plural where there is need."""
    plural = {"class": "classes"}.get(what, f"{what}s")
    return f"{n} {what if n == 1 else plural}"


def brief(value: float) -> str:
    """Return a value as tables and summaries show it."""
    return f"{value:.6g}"


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
    """The table with a line an epoch, of which it prints every ``every``-th, the first and the last.

    ``needed`` says that a run whose table nobody reads any more is of no use.
    """

    def __init__(self, columns: Titles, epochs: int, every: int | None, *, needed: bool) -> None:
        self.needed = needed
        self.keys = ("epoch", *(key for key, _ in columns))
        self.epochs = epochs
        self.every = every or -(-epochs // LINES)
        digits = {"lr": ".3g"}
        self._lines = Aligned(
            ("epoch", ">5"),
            *((title, f">{max(17, len(title) + 2)}{digits.get(key, '.6g')}") for key, title in columns),
        )

    def head(self) -> str:
        """Return the line with the titles."""
        return self._lines.head()

    def show(self, record: Record, _params: Any) -> None:
        """Print the line of an epoch, if its turn has come; a callback of :func:`gdcore.fit`."""
        epoch = record["epoch"]
        if epoch in {1, self.epochs} or not epoch % self.every:
            say(self._lines.line(*(record[key] for key in self.keys)), needed=self.needed)


def summary(history: History, measure: Measure, rows: int, saved: str, *, best_kept: bool) -> str:
    """Return in a few lines how the run went: how good it is, its end, the time it took, what is kept."""
    records = history.records
    seconds = sum(record["seconds"] for record in records)
    samples = rows * len(records)
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
    return (
        f"{title} {reached}; "
        f"{counted(len(records), 'epoch')}{ended}; "
        f"{seconds:.3g} s, {samples / max(seconds, 1e-9):.3g} samples/s; {saved}"
    )


def warn_of_outcome(history: History, measure: Measure, *, steady: bool) -> None:
    """Warn of a run that learned nothing, was still learning, or, unless ``steady``, wanders about the optimum."""
    key, name = measure.error
    errors = [record[key] for record in history.records]
    last, best = errors[-1], min(errors)
    # Over the rows held out, if there are any: over the others the loss of classes falls for ever.
    monitored = [history.monitored(record) for record in history.records]
    fell = 1 - monitored[-1] / (monitored[-1 - len(monitored) // 10] or 1.0)
    alone, what = measure.alone
    if last >= alone > 0:
        warn(f"the model is no better than {what}, which has {name} {brief(alone)}")
    elif history.stopped != "epochs" or steady or last <= NEGLIGIBLE * alone:
        return
    elif last > UNSTEADY * best:
        warn(
            f"the train {name} ends {100 * (last / best - 1):.2g} % above its best, {brief(best)}; "
            f"try a smaller --lr, a larger --batch-size or --schedule cosine"
        )
    elif fell > UNFINISHED:
        where = "validation" if history.monitor.startswith("validation") else "train"
        warn(
            f"the {where} {name} still fell by {100 * fell:.2g} % in the last tenth of the epochs; "
            f"try more --epochs or a larger --lr"
        )
