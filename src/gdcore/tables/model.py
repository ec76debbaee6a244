"""What ``gdcore train`` makes and ``gdcore predict`` uses: a network, and how it reads a table."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..arguments import describe, is_array
from ..checkpoints import load, save
from ..metrics import Metric
from ..models import Network, from_config
from ..trees import flatten
from .columns import Columns, measured, said_missing, standardised
from .errors import TableError
from .forms import Numbers
from .plan import NUMBERS, check_plan, finite
from .table import Table, matrix

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

FORMAT: Final = "gdcore table model 1"

MOST_CLASSES: Final = 1000


PLAN: Final = {
    "format": frozenset({FORMAT}),
    "network": {"sizes": [int], "task": str, "activation": str, "dtype": frozenset({"float32", "float64"})},
    "columns": dict,
    "target": {"name": str, "numbers": (None, NUMBERS), "center": finite, "scale": finite, "classes": [str]},
    "training": {...: str},
}
"""What the metadata of a model are like; those of its columns have a plan of their own."""


class ModelError(ValueError):
    """A file that holds no model that can be used."""


@dataclass(frozen=True)
class Target:
    """What is predicted: a number, trained in units of ``scale`` from ``center``, or one of ``classes``.

    Arguments:
        name: of the column.
        numbers: how they are written; None for classes.
        center, scale: finite floats; 0 and 1 for classes.
        classes: their texts, sorted; empty for a number.
    """

    name: str
    numbers: Numbers | None
    center: float
    scale: float
    classes: tuple[str, ...]

    @property
    def task(self) -> str:
        """The task of the network: ``"regression"``, ``"binary"`` or ``"classes"``."""
        return {0: "regression", 2: "binary"}.get(len(self.classes), "classes")

    @property
    def outputs(self) -> int:
        """How many the network has."""
        return len(self.classes) if self.task == "classes" else 1

    @classmethod
    def of(
        cls, table: Table, name: str, numbers: Numbers | None, order: Rows, held: int
    ) -> tuple["Target", NDArray[Any]]:
        """Find out about a column; return that, and what the network is to say of each row, in ``order``.

        Where numbers lie is measured without the first ``held`` rows of that order. Raises TableError for a column
        that cannot be the target.
        """
        if numbers is not None:
            values = matrix(table.numbers({name: numbers}), len(table))[order]
            scaling = measured(table, values[held:], [name])
            target = cls(name, numbers, float(scaling.center[0]), float(scaling.scale[0]), ())
            return target, standardised(table, scaling, values, [name])[:, 0]
        classes = table.texts(name)
        if not 2 <= len(classes) <= MOST_CLASSES:
            raise TableError(
                f"{table.path}: column {name!r}: expected 2 to {MOST_CLASSES} classes, got {len(classes)}"
            )
        codes = table.codes(name, classes)[order]
        return cls(name, None, 0.0, 1.0, classes), codes

    @staticmethod
    def kinds(table: Table, name: str, numbers: Numbers | None) -> NDArray[Any] | None:
        """Return the class of each row of a target, an integer; None for a regression. ``numbers`` as for `of`."""
        return table.codes(name, table.texts(name)) if numbers is None else None

    def metrics(self, network: Network) -> dict[str, Metric]:
        """Return what to tell of a network, in the units of the table."""
        if self.classes:
            return network.metrics
        rmse = network.metrics["rmse"]
        return {"rmse": Metric(rmse.each, lambda mean: self.scale * rmse.finish(mean))}


@dataclass(frozen=True)
class TableModel:
    """A network for the rows of a table.

    ``training`` tells in words, by subject, how it was trained.
    """

    network: Network
    columns: Columns
    target: Target
    training: Mapping[str, str] = field(default_factory=dict)

    def predict(self, table: Table) -> NDArray[Any]:
        """Return the prediction for each row: float64 numbers, or which of the classes, as integers.

        Raises TableError as :meth:`Columns.features` does.
        """
        features = self._features(table)
        with np.errstate(over="ignore", invalid="ignore"):
            predicted = self.network.predict(features)
            if self.target.classes:
                return predicted
            return predicted.astype(np.float64) * self.target.scale + self.target.center

    def probabilities(self, table: Table) -> Floats:
        """Return the probability of each class for each row, (rows, classes). Raises as :meth:`predict` does."""
        features = self._features(table)
        with np.errstate(over="ignore", invalid="ignore"):
            return self.network.predict_proba(features).astype(np.float64)

    def coefficients(self) -> tuple[Floats, Floats]:
        """Return weights, (features, outputs), and intercepts of a linear model, in the table's own units.

        A prediction, or the logit of a class, is the intercept and the sum of each number times its weight, and of
        the weights of the texts that are there. The features are as :attr:`Columns.features_named` has them.
        """
        (weights,), (biases,) = self.network.params
        weights = weights.astype(np.float64) * self.target.scale
        intercepts = biases.astype(np.float64) * self.target.scale + self.target.center
        scaling, k = self.columns.scaling, len(self.columns.measured)
        weights[:k] = np.where(scaling.constant[:, None], 0.0, weights[:k] / scaling.scale[:, None])
        return weights, intercepts - scaling.center @ weights[:k]

    def score(self, table: Table, predictions: NDArray[Any]) -> tuple[str, float]:
        """Return how good the predictions are for a table that has the target: accuracy or RMSE, and how much.

        Raises TableError for a target that is missing or of another kind.
        """
        name = self.target.name
        if missing := table.missing([name], [name] * (self.target.numbers is None)):
            raise TableError(said_missing(table, missing, "leave these rows out"))
        if self.target.numbers is None:
            return "accuracy", float(np.mean(table.codes(name, self.target.classes) == predictions))
        (truth,) = (values.to_numpy() for values in table.numbers({name: self.target.numbers}))
        with np.errstate(over="ignore", invalid="ignore"):
            return "RMSE", float(np.sqrt(np.mean((predictions - truth) ** 2)))

    def _features(self, table: Table) -> NDArray[Any]:
        return self.columns.features(table).astype(self.network.dtype, copy=False)

    def save(self, path: str | Path) -> None:
        """Write the model to ``path``, whole or not at all. Raises OSError where it cannot be written."""
        metadata = {
            "format": FORMAT,
            "network": self.network.config,
            "columns": self.columns.to_metadata(),
            "target": {**asdict(self.target), "classes": list(self.target.classes)},
            "training": dict(self.training),
        }
        save(path, self.network.params, metadata=metadata)

    @classmethod
    def load(cls, path: str | Path) -> "TableModel":
        """Read a model that :meth:`save` wrote; nothing in the file is run.

        Raises OSError for a file that cannot be opened, and ModelError for one that is no model or is damaged.
        """
        try:
            saved = load(path)
            found = saved.metadata.get("format") if isinstance(saved.metadata, dict) else None
            if is_array(found):  # which compares element by element
                raise ValueError(f"expected the format {FORMAT!r}, got {describe(found)}")
            if found != FORMAT:
                raise ValueError(f"expected the format {FORMAT!r}, got {found!a:.100}")
            check_plan("metadata", saved.metadata, PLAN)
            return cls._of(saved.metadata, saved.params)
        except (ValueError, TypeError, AttributeError, IndexError) as error:
            raise ModelError(f"{path}: expected a model that 'gdcore train' saved: {error}") from error

    @classmethod
    def _of(cls, metadata: Any, params: Any) -> "TableModel":
        """Return the model that a file of the right plan tells of. Raises TypeError or ValueError for none."""
        target = metadata["target"]
        numbers = None if target["numbers"] is None else Numbers(**target["numbers"])
        what = Target(target["name"], numbers, target["center"], target["scale"], tuple(target["classes"]))
        kinds = len(what.classes)
        if (numbers is None) != (2 <= kinds <= MOST_CLASSES) or len(set(what.classes)) < kinds or what.scale <= 0:
            raise ValueError("target: expected a number, or classes that differ, got something else")
        columns = Columns.from_metadata(metadata["columns"])
        config = metadata["network"]
        sizes, shapes = config["sizes"], [(*array.shape, 0, 0)[:2] for array in flatten(params)]
        if (sizes[0], sizes[-1], config["task"]) != (columns.width, what.outputs, what.task) or shapes != [
            *pairwise(sizes),
            *((size, 0) for size in sizes[1:]),
        ]:
            raise ValueError("expected a network that fits the columns and the target, got another")
        if not all(np.isfinite(array).all() for array in flatten(params)):
            raise ValueError("expected finite weights, got others")
        return cls(from_config(config, params), columns, what, metadata["training"])
