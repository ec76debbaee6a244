"""How a run ended, in words: whether it learned nothing, still learned, wandered, or missed the best linear fit."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from ..arguments import Array
from .scaling import Scaling

UNFINISHED: Final = 0.01
"""A run whose last tenth of epochs lowers the error by more than this part of it is not at its end."""

NEGLIGIBLE: Final = 1e-3
"""A run whose error is below this part of that of a constant prediction has learned enough."""

UNSTEADY: Final = 1.01
"""A run whose last error is this many times its best one wanders about the optimum."""

FAR: Final = 1.01
"""A linear fit whose error is this many times that of the best one has not found it."""

AFFORDABLE: Final = 300_000_000
"""Least squares costs some rows * columns^2 products; with more than this it is not looked at."""


def shortcomings(
    errors: Sequence[float],
    name: str,
    alone: tuple[float, str],
    option: Callable[[str], str],
    *,
    validation: Sequence[float] | None = None,
    done: bool = True,
    steady: bool = False,
    separated: bool = False,
    best: float | None = None,
) -> list[str]:
    """Return what has to be said of a run, and what helps; nothing of one that went well.

    Arguments:
        errors: over the samples trained on, one an epoch, at least one.
        name: how the error is called.
        alone: the error of a constant prediction, and its name.
        option: how the user writes an option; for ``"schedule"``, one that falls.
        validation: the errors over the samples held out.
        done: whether the run went through all of its epochs.
        steady: whether the rate falls, so that the run ends where it is told to.
        separated: whether all samples trained on have their class: the loss may then fall for ever, by leaps.
        best: the error of the linear fit that least squares finds, where the run should have found it.
    """
    last, least = errors[-1], min(errors)
    if last >= alone[0] > 0:
        return [f"the model is no better than {alone[1]}, which has {name} {alone[0]:.6g}"]
    said = []
    # Over the samples held out, if there are any: over the others the loss of classes falls for ever.
    watched, where = (errors, "train") if validation is None else (validation, "validation")
    fell = 1 - watched[-1] / (watched[-1 - len(watched) // 10] or 1.0)
    if not done or steady or last <= NEGLIGIBLE * alone[0]:
        pass
    elif last > UNSTEADY * least and not separated:
        said.append(
            f"the train {name} ends {100 * (last / least - 1):.2g} % above its best, {least:.6g}; try a smaller "
            f"{option('lr')}, a larger {option('batch_size')} or {option('schedule')}"
        )
    elif fell > UNFINISHED and not (separated and validation is None):
        said.append(
            f"the {where} {name} still fell by {100 * fell:.2g} % in the last tenth of the epochs; "
            f"try more {option('epochs')} or a larger {option('lr')}"
        )
    if best is not None and last - best > max((FAR - 1) * best, NEGLIGIBLE * alone[0]):
        helps = (
            f"; columns that are nearly alike, or of different spread, make the way long: "
            f"try more {option('epochs')}, a larger {option('lr')} or another {option('optimizer')}"
        )
        found = f"the train {name} is {last:.6g}, and that of the fit by least squares to the same rows {best:.6g}"
        said.insert(0, found if said else found + helps)
    return said


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def constant_error(y: Array, weights: Array | None = None, *, classes: bool) -> tuple[float, str]:
    """Return the RMSE or cross-entropy of the best constant prediction of ``y``, and how that is called.

    ``weights``, (n,), are those of the samples, of mean 1.
    """
    if not classes:
        squares = np.square(y - np.average(y, axis=0, weights=weights))
        each = squares if y.ndim == 1 else squares.mean(axis=1)
        return float(np.sqrt(np.average(each, weights=weights))), "predicting the mean alone"
    share = np.bincount(y, weights) / len(y)
    share = share[share > 0]
    return abs(float(np.sum(share * np.log(share)))), "predicting the parts of the classes alone"


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def least_squares(x: Array, y: Array, weights: Array | None = None) -> float | None:
    """Return the root of the mean squared error of the linear fit to ``y``, (n,) or (n, k), that has the least.

    None where that is no measure, as any targets are met with as many columns as rows, where it costs too much, and
    where a column's spread leaves float64. ``weights``, (n,), are those of the samples, of mean 1.
    """
    rows, columns = x.shape
    if rows <= columns + 1 or rows * columns**2 > AFFORDABLE:
        return None
    x, y = x.astype(np.float64), y.astype(np.float64)
    try:
        x, y = Scaling.of(x, weights=weights).standardised(x), y - np.average(y, axis=0, weights=weights)
        if weights is not None:
            root = np.sqrt(weights)[:, np.newaxis]
            x, y = root * x, (root * y.reshape(rows, -1)).reshape(y.shape)
        fitted = x @ np.linalg.lstsq(x, y)[0]
    except ValueError:  # LinAlgError is one
        return None
    return float(np.sqrt(np.mean(np.square(y - fitted))))
