"""What the estimators share: their parameters, the run, and what is told of it."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Final

import numpy as np
from sklearn.base import BaseEstimator  # type: ignore[import-not-found,import-untyped,unused-ignore]
from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-not-found,import-untyped,unused-ignore]
from sklearn.utils import check_random_state  # type: ignore[import-not-found,import-untyped,unused-ignore]
from sklearn.utils.validation import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from .. import metrics
from ..arguments import Array, checked_int, checked_number
from ..stepping import Optimizer
from ..training import History, Record, fit
from .choices import EXACT, default_epochs, optimizer_of, schedule_of
from .holdout import held_out
from .networks import MLP, Network, from_config
from .outcome import constant_error, least_squares, shortcomings
from .rows import is_sparse
from .tasks import TASKS
from .weighing import check_sum, of_mean_one

DTYPES: Final = (np.float64, np.float32)
"""What ``X`` may be; anything else becomes the first."""

Arrays = tuple[Array, ...]
"""Samples, their targets, and their weights if they have any."""


@dataclass
class Going:
    """What ``partial_fit`` goes on with."""

    optimizer: Optimizer
    rng: np.random.Generator


class Learner(BaseEstimator):  # type: ignore[misc]
    """What both estimators share."""

    def __init__(
        self,
        hidden: "int | Sequence[int]" = (),
        *,
        activation: str = "relu",
        optimizer: Any = "adam",
        lr: float | None = None,
        epochs: int | None = None,
        batch_size: int = 64,
        weight_decay: float = 0.0,
        l2: float = 0.0,
        schedule: "str | Callable[[int], float] | None" = None,
        max_norm: float | None = None,
        patience: int | None = None,
        validation_fraction: float = 0.1,
        tol: float | None = None,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.optimizer = optimizer
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.l2 = l2
        self.schedule = schedule
        self.max_norm = max_norm
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @property
    def n_iter_(self) -> int:
        """How many epochs the run had."""
        return len(self.history_)

    @property
    def loss_curve_(self) -> list[float]:
        """The loss of each epoch, as met in its course."""
        return [record["loss"] for record in self.history_.records]

    @property
    def best_loss_(self) -> float:
        """The least of ``loss_curve_``."""
        return min(self.loss_curve_, default=np.inf)

    @property
    def validation_scores_(self) -> list[float] | None:
        """With ``patience``: accuracy or R2 on the samples held back, after each epoch."""
        scores = [record["validation_score"] for record in self.history_.records if "validation_score" in record]
        return scores or None

    @property
    def best_validation_score_(self) -> float | None:
        """The largest of ``validation_scores_``."""
        scores = self.validation_scores_
        return None if scores is None else max(scores)

    @property
    def coefs_(self) -> list[Array]:
        """The weights of each layer, (inputs, units)."""
        return [w.copy() for w in self.model_.params[0]]

    @property
    def intercepts_(self) -> list[Array]:
        """The biases of each layer, (units,)."""
        return [b.copy() for b in self.model_.params[1]]

    def _linear(self, name: str) -> tuple[Array, Array]:
        """Return weights and biases of a linear model; raise AttributeError, for ``name``, where there is none."""
        (w, *deeper), (b, *_) = self.model_.params
        if deeper:
            raise AttributeError(f"{name}: expected no hidden layers, got {len(deeper)}; coefs_ has all weights")
        return w.copy(), b.copy()

    def _random(self) -> np.random.Generator:
        seed = check_random_state(self.random_state).randint(0, 2**32, 4, dtype=np.uint32)
        return np.random.default_rng(seed)

    def _network(self, features: int, outputs: int, task: str, dtype: Any, rng: np.random.Generator) -> Network:
        hidden = (self.hidden,) if isinstance(self.hidden, Integral) else self.hidden
        if isinstance(hidden, str) or not isinstance(hidden, Sequence | np.ndarray):
            raise TypeError(f"hidden: expected an int or a tuple of ints, got {self.hidden!r}")
        sizes = (features, *hidden, outputs)
        if len(sizes) > 2:
            return MLP(sizes, task=task, rng=rng, activation=self.activation, dtype=dtype)
        return Network(sizes, task, activation=self.activation, dtype=dtype)

    def _earlier(self, new: Network) -> Network:
        """Return a copy of the network that was trained before, which is to be like ``new``."""
        earlier: Network = self.model_
        if {**earlier.config, "dtype": 0} != {**new.config, "dtype": 0}:
            raise ValueError(f"warm_start: expected the network of the fit before, {earlier}, got {new}")
        weights, biases = ([a.astype(new.dtype) for a in part] for part in earlier.params)
        return from_config(new.config, (weights, biases))

    def _weights(self, sample_weight: Any, x: Any) -> Array | None:
        """Return weights of the samples as they are given, float64 (n,), or None."""
        if sample_weight is None:
            return None
        weights: Array = _check_sample_weight(sample_weight, x, dtype=np.float64)
        check_sum("sample_weight", weights)
        return weights

    def _train(
        self, model: Network, rng: np.random.Generator, x: Any, y: Array, weights: Array | None, unit: float = 1.0
    ) -> list[str]:
        """Train a network on checked arrays, with targets of so many of the user's units; return its faults.

        ``weights`` have mean 1.
        """
        arrays = _arrays(model, x, y, weights)
        data, validation = (arrays, None) if self.patience is None else self._split(arrays, model.task, rng)
        batch_size, epochs, enough = checked_int("batch_size", self.batch_size, 1), self.epochs, -np.inf
        if epochs is None:
            epochs = default_epochs(len(data[1]), batch_size)
            if model.task == "regression":
                enough = EXACT * model.sizes[-1]
        optimizer = self._optimizer(model)
        steps = checked_int("epochs", epochs, 0) * -(-len(data[1]) // batch_size)
        watch = _Watch(model.outputs, model.task, validation, enough, self.tol, self.n_iter_no_change)
        history = fit(
            model.value_and_grad,
            model.params,
            data,
            optimizer,
            epochs=epochs,
            batch_size=batch_size,
            rng=rng,
            validation=validation,
            patience=self.patience,
            schedule=schedule_of(self.schedule, optimizer.lr, steps),
            max_norm=self.max_norm,
            progress=bool(self.verbose),
            callback=watch,
        )
        if history.stopped == "callback":
            history.stopped = watch.why
        self.__dict__.pop("_going", None)
        self.history_ = history
        self.model_ = model
        return self._shortcomings(data, unit)

    def _pass(
        self, model: Network, rng: np.random.Generator | None, x: Any, y: Array, weights: Array | None
    ) -> None:
        """Go once through checked arrays with the network, and with ``rng`` or what an earlier pass has left."""
        going = self.__dict__.get("_going")
        if going is None:
            going = Going(self._optimizer(model), self._random() if rng is None else rng)
        schedule = schedule_of(self.schedule, going.optimizer.lr, 1)
        if isinstance(self.schedule, str) and schedule is not None:
            raise ValueError(
                f"schedule: expected a function of the step for partial_fit, which knows no end, got "
                f"{self.schedule!r}"
            )
        arrays = _arrays(model, x, y, weights)
        history = fit(
            model.value_and_grad,
            model.params,
            arrays,
            going.optimizer,
            epochs=1,
            batch_size=self.batch_size,
            rng=going.rng,
            schedule=schedule,
            max_norm=self.max_norm,
            progress=bool(self.verbose),
        )
        told: History = self.__dict__.setdefault("history_", History([]))
        told.records += [{**record, "epoch": len(told) + 1} for record in history.records]
        told.stopped = history.stopped
        self.model_, self._going = model, going

    def _let_out(self, shortcomings: Sequence[str] = ()) -> None:
        """Raise KeyboardInterrupt, now that the estimator is whole, if Ctrl-C has ended the training; else warn."""
        if self.history_.stopped == "interrupted":
            raise KeyboardInterrupt
        for said in shortcomings:
            warnings.warn(said, ConvergenceWarning, stacklevel=3)

    def _optimizer(self, model: Network) -> Optimizer:
        decays = {"weight_decay": self.weight_decay, "l2": self.l2}
        return optimizer_of(self.optimizer, self.lr, model.groups(), **decays)

    def _split(self, arrays: Arrays, task: str, rng: np.random.Generator) -> tuple[Arrays, Arrays]:
        """Return the samples to train on, and those to watch."""
        if not checked_number("validation_fraction", self.validation_fraction, 0, above=True) < 1:
            raise ValueError(f"validation_fraction: expected a number in (0, 1), got {self.validation_fraction!r}")
        y = arrays[1]
        held = max(1, round(self.validation_fraction * len(y)))
        if held == len(y):
            raise ValueError(f"X: expected samples beside {held} for validation, got n_samples = {len(y)}")
        watched = held_out(len(y), held, rng, None if task == "regression" else y)
        if not watched.any():
            raise ValueError("y: expected a class of two samples or more, to hold one out for validation, got none")
        parts = []
        for chosen in (~watched, watched):
            x, y, *weights = (array[chosen] for array in arrays)
            parts.append((x, y, *(w / w.mean() for w in weights)))
        return parts[0], parts[1]

    def _shortcomings(self, data: Arrays, unit: float) -> list[str]:
        """Return what the run has not found that it was to find on the samples that it was trained on.

        ``unit`` is that of the targets in which errors are told.
        """
        model, records = self.model_, self.history_.records
        if not records:
            return []
        classes = model.task != "regression"

        def errors(key: str) -> list[float]:
            losses = [record[key] for record in records]
            return losses if classes else [unit * (loss / model.sizes[-1]) ** 0.5 for loss in losses]

        train, watched = errors("loss"), self.patience is not None
        told = {metric.__name__: metric(model.outputs)(model.params, *data) for metric in TASKS[model.task].metrics}
        if not watched:  # else the parameters are those of another epoch than the last
            train.append(told["cross_entropy"] if classes else unit * told["rmse"])
        alone, constant = constant_error(*data[1:], classes=classes)
        plain = type(self.optimizer) is str and not (self.weight_decay or self.l2 or self.max_norm)
        free = plain and not (classes or len(model.sizes) > 2 or watched or is_sparse(data[0]))
        best = least_squares(*data) if free else None
        return shortcomings(
            train,
            "cross-entropy" if classes else "RMSE",
            (unit * alone, constant),
            lambda name: "a falling schedule" if name == "schedule" else name,
            validation=errors("validation_loss") if watched else None,
            done=self.history_.stopped == "epochs",
            steady=self.schedule is not None,
            separated=told.get("accuracy") == 1,
            best=None if best is None else unit * best,
        )

    def _checked(self, X: Any) -> Any:  # noqa: N803
        check_is_fitted(self)
        return validate_data(self, X, reset=False, dtype=self.model_.dtype, accept_sparse="csr")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _arrays(model: Network, x: Any, y: Array, weights: Array | None) -> Arrays:
    """Return what is trained on."""
    return (x, y) if weights is None else (x, y, weights.astype(model.dtype))


class _Watch:
    """What hears of each epoch: it tells the score of samples held back, and ends a run that has done enough."""

    def __init__(
        self,
        outputs: Callable[..., Any],
        task: str,
        validation: Arrays | None,
        enough: float,
        tol: Any,
        no_change: Any,
    ) -> None:
        self.metric = metrics.r2(outputs) if task == "regression" else metrics.accuracy(outputs)
        self.validation = validation
        self.enough = enough
        self.tol = None if tol is None else checked_number("tol", tol, 0, above=False)
        self.no_change = checked_int("n_iter_no_change", no_change, 1)
        self.best, self.waited = np.inf, 0
        self.why = ""

    def __call__(self, record: Record, params: Any) -> bool:
        """Return whether to end: at a loss of ``enough``, or where ``no_change`` epochs were not ``tol`` better."""
        if self.validation is not None:
            record["validation_score"] = self.metric(params, *self.validation)
        if record["loss"] <= self.enough:
            self.why = "exact"
        elif self.tol is not None:
            self.waited = self.waited + 1 if record["loss"] > self.best - self.tol else 0
            self.best = min(self.best, record["loss"])
            if self.waited >= self.no_change:
                self.why = "tol"
        return bool(self.why)


def weighed(x: Any, y: Array, weights: Array | None) -> tuple[Any, Array, Array | None]:
    """Return the samples that weigh something, and their weights, of mean 1; None where these are all alike."""
    if weights is None:
        return x, y, None
    if not weights.all():
        kept = weights > 0
        x, y, weights = x[kept], y[kept], weights[kept]
    return x, y, of_mean_one(weights)
