"""How good a model is for the rows that its result is of: beside a constant prediction, and class by class."""

from typing import Final, NamedTuple

import numpy as np

from .. import scores
from ..arguments import Array
from ..models import constant_error
from .aligned import Aligned
from .report import brief

MOST_CLASSES: Final = 10
"""Of more classes only those that are told apart worst are shown, without what they are taken for."""

LONGEST: Final = 12
"""Letters of a class's name that are shown."""


class Judgement(NamedTuple):
    """What is added to the line of the summary, the lines below it, and what has to be warned of; or nothing."""

    line: str
    table: str = ""
    warning: str = ""


def judged(
    out: Array, y: Array, unit: float, classes: tuple[str, ...], weights: Array | None = None, *, held: bool
) -> Judgement:
    """Judge outputs by the targets of the same rows, held out or trained on.

    Arguments:
        out: numbers, (n,), or scores of classes as ``gdcore.scores`` has them.
        y: numbers, (n,), or classes as integers.
        unit: of numbers.
        classes: their names; none for numbers.
        weights: of the rows, of mean 1; None where they weigh alike.
        held: whether the rows were held out.
    """
    if classes:
        return _of_classes(scores.predicted(out), y, classes, weights, held=held)
    spread, _ = constant_error(y, weights, classes=False)
    alone = f"predicting the mean of the same rows alone has RMSE {brief(unit * spread)}"
    r2 = scores.r2(out, y, weights)
    if np.isnan(r2):
        return Judgement(alone)
    warning = f"the model is no better for the rows held out than their mean alone: R2 {r2:.4g}"
    return Judgement(f"R2 {r2:.4g}, where {alone}", warning=warning if held and r2 <= 0 else "")


def _of_classes(
    predicted: Array, y: Array, classes: tuple[str, ...], weights: Array | None, *, held: bool
) -> Judgement:
    matrix = scores.confusion(predicted, y, len(classes), weights)
    had, right = matrix.sum(axis=1), np.trace(matrix)
    most = int(had.argmax())
    share = brief(had[most] / len(y))
    alone = f"the most frequent class of the same rows, {classes[most]!r}, alone has accuracy {share}"
    warning = ""
    if held and right <= had[most] and np.count_nonzero(had) > 1:
        warning = (
            f"the model is no better for the rows held out than their most frequent class, {classes[most]!r}, alone"
        )
    _, _, f1 = rates = scores.rates(matrix)
    there = (had > 0) | (matrix.sum(axis=0) > 0)
    line = f"mean F1 {brief(float(f1[there].mean()))}, where {alone}"
    return Judgement(line, _table(matrix, rates, classes, there, held=held), warning)


def _table(
    matrix: Array, rates: tuple[Array, Array, Array], classes: tuple[str, ...], there: Array, *, held: bool
) -> str:
    of = "held out" if held else "trained on"
    weighed = matrix.dtype.kind == "f"
    digits = ".5g" if weighed else ""
    of += ", as they weigh" if weighed else ""
    shown = np.arange(len(classes))
    head = f"rows {of}, by class (down) and prediction (across):"
    if len(classes) > MOST_CLASSES:
        worst = np.argsort(np.where(there, rates[2], np.inf), kind="stable")[:MOST_CLASSES]
        shown = np.sort(worst)
        head = f"rows {of}, of the {len(shown)} classes of {len(classes)} with the least F1:"
    across = [] if len(classes) > MOST_CLASSES else [_short(name) for name in classes]
    wide = max(LONGEST, len("class"))
    lines = Aligned(
        ("class", f"<{wide}"),
        *((name, f">{max(5, len(name)) + 2}{digits}") for name in across),
        ("rows", f">8{digits}"),
        *((name, ">11.4f") for name in ("precision", "recall", "F1")),
    )
    rows = [
        lines.line(
            _short(classes[i]), *(matrix[i] if across else ()), matrix[i].sum(), *(rate[i] for rate in rates)
        )
        for i in shown
    ]
    return "\n".join(["", "", head, lines.head(), *rows])


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
