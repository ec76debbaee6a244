"""The linear model: its loss with the gradient by hand, the scales it is trained on, and its file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .files import replacing

Floats = NDArray[np.float64]

FORMAT: Final = "gdcore linear model 1"


class ModelError(ValueError):
    """A file that holds no model that can be used."""


def mean_squared_error(params: tuple[Floats, Floats], x: Floats, y: Floats) -> tuple[float, tuple[Floats, Floats]]:
    """Return the loss of a linear model on a batch, and its gradient, written out by hand.

    ``r = x w + b - y``, ``loss = sum(r^2) / n``, ``dloss/dw = 2/n x^T r``, ``dloss/db = 2/n sum(r)``.

    Arguments:
        params: ``w``, float64 (k,), and ``b``, float64 (1,).
        x: float64 (n, k), n >= 1.
        y: float64 (n,).

    Numbers that leave the range of float64 become inf or nan without a warning: a diverging run shows in its loss.

    >>> import numpy as np
    >>> mean_squared_error((np.array([2.0]), np.array([1.0])), np.array([[3.0]]), np.array([5.0]))
    (4.0, (array([12.]), array([4.])))
    """
    w, b = params
    with np.errstate(over="ignore", invalid="ignore"):
        r = x @ w + b - y
        scaled = (2 / len(y)) * r
        return float(r @ r) / len(y), (x.T @ scaled, scaled.sum(keepdims=True))


def rmse(predictions: Floats, targets: Floats) -> float:
    """Return the root mean square of ``predictions - targets``, both float64 (n,) with n >= 1.

    >>> rmse(np.array([1.0, 2.0]), np.array([7.0, 10.0]))
    7.0710678118654755
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sqrt(np.mean((predictions - targets) ** 2)))


@dataclass(frozen=True)
class Scaling:
    """Where columns lie and how far they spread: ``z = (x - center) / scale`` has mean 0 and variance 1.

    ``center`` and ``scale`` are float64 (k,). A constant column has scale 1 and its value as the center,
    so that its ``z`` is exactly 0, and so is the gradient by its weight.
    """

    center: Floats
    scale: Floats
    constant: NDArray[np.bool_]

    @classmethod
    def of(cls, x: Floats) -> "Scaling":
        """Measure the columns of ``x``, finite float64 (n, k) with n >= 1.

        Raises ValueError for a column whose spread does not fit in float64.

        >>> Scaling.of(np.array([[1.0, 7.0], [3.0, 7.0]])).standardised(np.array([[3.0, 7.0]]))
        array([[1., 0.]])
        """
        low = x.min(axis=0)
        with np.errstate(over="ignore"):
            spread = x.max(axis=0) - low
        if not np.isfinite(spread).all():
            index = int(np.isfinite(spread).argmin())
            raise ValueError(
                f"columns[{index}]: expected a spread below {np.finfo(np.float64).max:.3g}, "
                f"got values from {low[index]:g} to {x[:, index].max():g}"
            )
        constant = spread == 0
        spread[constant] = 1
        # In [0, 1] neither the sum nor the squares can leave the range of float64, whatever the column's unit.
        unit = (x - low) / spread
        scale = np.where(constant, 1.0, unit.std(axis=0) * spread)
        return cls(low + unit.mean(axis=0) * spread, scale, constant)

    def standardised(self, x: Floats) -> Floats:
        """Return ``(x - center) / scale``, float64 (n, k)."""
        return (x - self.center) / self.scale


@dataclass(frozen=True)
class LinearModel:
    """``prediction = weights . x + bias``, in the units of the table it was fitted to.

    Arguments:
        weights: finite float64 (k,), k >= 1.
        bias: finite.
        features: the names of the k columns of ``x``, in order.
        target: the name of what is predicted.

    >>> LinearModel(np.array([2.0]), 30.0, ("x",), "y").predict(np.array([[1.0], [2.0]]))
    array([32., 34.])
    """

    weights: Floats
    bias: float
    features: tuple[str, ...]
    target: str

    @classmethod
    def unscaled(
        cls,
        params: tuple[Floats, Floats],
        scaling: Scaling,
        features: tuple[str, ...],
        target: str,
    ) -> "LinearModel":
        """Return the model that does to ``x`` what ``params``, trained on standardised columns, do to ``z``.

        ``weights = scale_y w / scale_x``, ``bias = center_y + scale_y b - weights . center_x``; in ``scaling`` the
        columns of ``x`` come first, and ``y`` is the last.

        Raises OverflowError if that is not finite in float64.
        """
        w, b = params
        *_, center_y = scaling.center
        *_, scale_y = scaling.scale
        with np.errstate(over="ignore", invalid="ignore"):
            weights = w * (scale_y / scaling.scale[:-1])
            bias = float(center_y + scale_y * b[0] - weights @ scaling.center[:-1])
        if not (np.isfinite(weights).all() and np.isfinite(bias)):
            raise OverflowError("weights: expected finite numbers in the units of the table, got larger ones")
        return cls(weights, bias, features, target)

    def predict(self, x: Floats) -> Floats:
        """Return the predictions, float64 (n,), for ``x``, float64 (n, k).

        Raises ValueError for an ``x`` of another width.
        """
        if x.ndim != 2 or x.shape[1] != len(self.weights):
            raise ValueError(f"x: expected shape (n, {len(self.weights)}), got {x.shape}")
        with np.errstate(over="ignore", invalid="ignore"):
            return x @ self.weights + self.bias

    def save(self, path: str | Path) -> None:
        """Write the model to ``path``, whole or not at all. Raises OSError where it cannot be written."""
        with replacing(path) as file:
            np.savez(
                file,
                format=np.array(FORMAT),
                weights=self.weights,
                bias=np.array(self.bias),
                features=np.array(self.features),
                target=np.array(self.target),
            )

    @classmethod
    def load(cls, path: str | Path) -> "LinearModel":
        """Read a model that :meth:`save` wrote; nothing in the file is run.

        Raises OSError for a file that cannot be opened, and ModelError for one that is no model or is damaged.
        """
        with Path(path).open("rb") as file:
            try:
                archive = np.load(file, allow_pickle=False)
                if not isinstance(archive, np.lib.npyio.NpzFile):
                    raise ModelError(f"{path}: expected a model that 'gdcore train' saved, got a single array")
                fields = {name: archive[name] for name in archive.files}
            except ModelError:
                raise
            except Exception as error:  # damage reaches the zip reader in more ways than it has errors of its own
                raise ModelError(
                    f"{path}: expected a model that 'gdcore train' saved, got another or a damaged file"
                ) from error
        return cls._of_fields(path, fields)

    @classmethod
    def _of_fields(cls, path: str | Path, fields: dict[str, NDArray[Any]]) -> "LinearModel":
        expected = {
            "format": ("U", 0),
            "weights": ("f", 1),
            "bias": ("f", 0),
            "features": ("U", 1),
            "target": ("U", 0),
        }
        for name, (kind, ndim) in expected.items():
            field = fields.get(name)
            if field is None or field.dtype.kind != kind or field.ndim != ndim:
                raise ModelError(f"{path}: expected a model that 'gdcore train' saved, got no {name!r} as in one")
        if fields["format"].item() != FORMAT:
            raise ModelError(f"{path}: expected the format {FORMAT!r}, got {fields['format'].item()!r}")
        weights, bias = fields["weights"].astype(np.float64), float(fields["bias"])
        features = tuple(map(str, fields["features"].tolist()))
        if len(weights) != len(features) or not (np.isfinite(weights).all() and np.isfinite(bias)):
            raise ModelError(f"{path}: expected one finite weight a feature, got a damaged model")
        return cls(weights, bias, features, str(fields["target"].item()))
