"""What people do with a model as a whole: train it, judge it, keep it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..arguments import Array
from ..checkpoints import save
from ..data import as_column, whole
from ..metrics import accuracy, r2
from ..training import History, fit
from .choices import OPTIMIZERS, default_epochs


class Trainable:
    """What a model with these attributes has beside them. Its ``load`` reads what ``save`` wrote."""

    params: Any
    dtype: np.dtype[Any]
    task: str
    value_and_grad: Callable[..., Any]
    outputs: Callable[..., Any]
    groups: Callable[[], Any]
    metrics: Any
    config: Any

    def fit(
        self,
        x: Any,
        y: Any,
        weights: Any = None,
        *,
        optimizer: Any = "adam",
        epochs: int | None = None,
        batch_size: int | None = 32,
        rng: "np.random.Generator | None" = None,
        **others: Any,
    ) -> History:
        """Train the model on samples by :func:`gdcore.fit`, from where its parameters stand; return the history.

        Arguments:
            x: (n, features), samples as :func:`gdcore.minibatches` takes them; brought to the model's dtype.
            y: what the task asks for, n of them.
            weights: how much each sample counts, (n,), >= 0; divided by their mean. None counts all alike.
            optimizer: the name of a rule, with the rate that tables have by default; a function of
                :meth:`groups`, such as ``functools.partial(gd.AdamW, lr=0.01)``; or an optimizer of the model's
                parameters.
            epochs: None takes what makes 3,000 steps, and at least 20 epochs.
            batch_size: samples a step; None takes all of them.
            rng: draws the order of the samples; None is ``np.random.default_rng(0)``.
            others: as for :func:`gdcore.fit`, such as ``validation=0.2, patience=10, verbose=1``. Samples of
                ``validation=(x, y)`` are taken as ``x`` and ``y`` are.

        Raises as :func:`gdcore.fit` does.

        >>> import numpy as np, gdcore as gd
        >>> x = np.linspace(-1, 1, 50).reshape(-1, 1)
        >>> model = gd.models.Linear(1)
        >>> model.fit(x, 3 * x[:, 0] - 2).stopped
        'epochs'
        >>> round(model.score(x, 3 * x[:, 0] - 2), 2)
        1.0
        """
        x, y = self._columns(x, y)
        watched = others.get("validation")
        if isinstance(watched, tuple) and len(watched) > 1:
            others["validation"] = (*self._columns(*watched[:2]), *watched[2:])
        data = (x, y) if weights is None else (x, y, _of_mean_one(weights))
        if epochs is None and x.shape and x.shape[0]:
            epochs = default_epochs(x.shape[0], x.shape[0] if batch_size is None else batch_size)
        if isinstance(optimizer, str):
            if optimizer not in OPTIMIZERS:
                known = ", ".join(map(repr, OPTIMIZERS))
                raise ValueError(f"optimizer: expected one of {known}, got {optimizer!r}")
            make, rate = OPTIMIZERS[optimizer]
            optimizer = make(self.groups(), lr=rate)
        elif not hasattr(optimizer, "step") or isinstance(optimizer, type):
            optimizer = optimizer(self.groups())
        rng = np.random.default_rng(0) if rng is None else rng
        return fit(
            self.value_and_grad,
            self.params,
            data,
            optimizer,
            epochs=0 if epochs is None else epochs,
            batch_size=batch_size,
            rng=rng,
            **{"metrics": self.metrics, **others},
        )

    def _columns(self, x: Any, y: Any) -> tuple[Any, Any]:
        numbers = self.dtype if self.task == "regression" else None
        return _column("x", x, self.dtype), _column("y", y, numbers)

    def score(self, x: Any, y: Any) -> float:
        """Return how good the predictions are, as scikit-learn does: R2, or the accuracy for classes.

        Arguments:
            x: samples, as of :meth:`fit`.
            y: what they are, as there.

        Raises TypeError or ValueError for others.
        """
        metric = r2 if self.task == "regression" else accuracy
        x, y = self._columns(x, y)
        return metric(self.outputs)(self.params, x, whole(y))

    def save(self, path: str | Path) -> None:
        """Write the model to ``path``, as :func:`gdcore.save` does; :meth:`load` reads it. Raises OSError too.

        >>> import tempfile, gdcore as gd
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     gd.models.Linear(2).save(f"{folder}/line.npz")
        ...     gd.models.Linear.load(f"{folder}/line.npz")
        Linear(2 -> 1, regression, float64)
        """
        save(path, self.params, metadata={"model": type(self).__name__, "config": self.config})


def _column(name: str, samples: Any, dtype: Any) -> Any:
    """Return a column of samples, in a dtype if there is one and they are in memory."""
    column = as_column(name, samples)
    return column if dtype is None or not hasattr(column, "astype") else column.astype(dtype, copy=False)


def _of_mean_one(weights: Any) -> Array:
    array: Array = np.asarray(as_column("weights", weights), np.float64)
    mean = array.mean() if array.size else 1.0
    if not 0 < mean < np.inf:
        raise ValueError(f"weights: expected numbers >= 0 of a mean > 0, got a mean of {mean}")
    return array / mean
