"""Estimators for scikit-learn (the extra ``sklearn``): networks to be fitted, searched and piped as its own are."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

try:
    from sklearn.base import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        BaseEstimator,
        ClassifierMixin,
        RegressorMixin,
    )
    from sklearn.utils import check_random_state  # type: ignore[import-not-found,import-untyped,unused-ignore]
    from sklearn.utils.multiclass import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        check_classification_targets,
    )
    from sklearn.utils.validation import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        check_is_fitted,
        validate_data,
    )
except ImportError as error:
    raise ImportError("estimators need scikit-learn 1.6 or newer: pip install 'gdcore[sklearn]'") from error


from ..arguments import Array, checked_number
from ..stepping import Optimizer
from ..training import fit
from .choices import OPTIMIZERS
from .networks import MLP, Network
from .scaling import Scaling

DTYPES: Final = (np.float64, np.float32)
"""What ``X`` may be; anything else becomes the first."""


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """What both estimators share: their parameters, and the run."""

    def __init__(
        self,
        hidden: Sequence[int] = (),
        *,
        activation: str = "relu",
        optimizer: str = "adam",
        lr: float | None = None,
        epochs: int = 200,
        batch_size: int = 64,
        weight_decay: float = 0.0,
        l2: float = 0.0,
        schedule: Callable[[int], float] | None = None,
        max_norm: float | None = None,
        patience: int | None = None,
        validation_fraction: float = 0.1,
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
        self.random_state = random_state
        self.verbose = verbose

    def _train(self, x: Array, y: Array, task: str, outputs: int) -> None:
        """Train a new network on checked arrays."""
        seed = check_random_state(self.random_state).randint(0, 2**32, 4, dtype=np.uint32)
        rng = np.random.default_rng(seed)
        if isinstance(self.hidden, str) or not isinstance(self.hidden, Sequence):
            raise TypeError(f"hidden: expected a tuple of ints, got {self.hidden!r}")
        sizes = (x.shape[1], *self.hidden, outputs)
        if self.hidden:
            model: Network = MLP(sizes, task=task, rng=rng, activation=self.activation, dtype=x.dtype)
        else:
            model = Network(sizes, task, activation=self.activation, dtype=x.dtype)
        data, validation = ((x, y), None) if self.patience is None else self._split(x, y, rng)
        self.history_ = fit(
            model.value_and_grad,
            model.params,
            data,
            self._optimizer(model),
            epochs=self.epochs,
            batch_size=self.batch_size,
            rng=rng,
            validation=validation,
            patience=self.patience,
            schedule=self.schedule,
            max_norm=self.max_norm,
            progress=bool(self.verbose),
        )
        self.n_iter_ = len(self.history_)
        self.model_ = model
        for name in ("coef_", "intercept_"):  # of an earlier fit that was linear
            self.__dict__.pop(name, None)

    def _let_out(self) -> None:
        """Raise KeyboardInterrupt, now that the estimator is whole, if Ctrl-C has ended the training."""
        if self.history_.stopped == "interrupted":
            raise KeyboardInterrupt

    def _optimizer(self, model: Network) -> Optimizer:
        if not isinstance(self.optimizer, str) or self.optimizer not in OPTIMIZERS:
            raise ValueError(
                f"optimizer: expected one of {', '.join(map(repr, OPTIMIZERS))}, got {self.optimizer!r}"
            )
        make, rate = OPTIMIZERS[self.optimizer]
        rate = rate if self.lr is None else self.lr
        return make(model.groups(), lr=rate, weight_decay=self.weight_decay, l2=self.l2)

    def _split(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the samples to train on, and those to watch."""
        if not checked_number("validation_fraction", self.validation_fraction, 0, above=True) < 1:
            raise ValueError(f"validation_fraction: expected a number in (0, 1), got {self.validation_fraction!r}")
        order = rng.permutation(len(x))
        held = max(1, round(self.validation_fraction * len(x)))
        if held == len(x):
            raise ValueError(f"X: expected samples beside {held} for validation, got n_samples = {len(x)}")
        return (x[order[held:]], y[order[held:]]), (x[order[:held]], y[order[:held]])

    def _checked(self, X: Any) -> Array:  # noqa: N803
        check_is_fitted(self)
        checked: Array = validate_data(self, X, reset=False, dtype=self.model_.dtype)
        return checked


class GDRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """A network that predicts numbers, fitted by gradient descent on the mean squared error.

    Columns of about the same spread train best: put a ``StandardScaler`` before it. Targets need none: they are
    standardised for the training, and the last layer takes that back, so that the loss is the part of their
    variance that is not explained.

    Arguments:
        hidden: units of each hidden layer, ints >= 1; none make it linear.
        activation: of the hidden layers: ``"relu"``, ``"tanh"`` or ``"sigmoid"``.
        optimizer: the name of a rule, such as ``"adam"``; docs/rules.md has them all.
        lr: learning rate, >= 0. None is the one that goes with the optimizer there, 0.002 for adam.
        epochs: how often to go through the samples, an int >= 0.
        batch_size: samples a step, an int >= 1.
        weight_decay: decoupled decay of the weights, >= 0; biases do not decay.
        l2: coupled penalty of the weights, >= 0: ``l2 / 2 * ||w||^2`` is added to the loss.
        schedule: the learning rate as a function of the step, from 0, in place of ``lr``; see ``gd.schedules``.
        max_norm: largest global norm of the gradients, > 0; None does not limit it.
        patience: stop after so many epochs in which the loss of samples held back has not fallen, an int >= 1, and
            put the best parameters back. None trains on all samples, for all epochs.
        validation_fraction: the part of the samples that ``patience`` holds back, in (0, 1).
        random_state: an int, a ``RandomState`` or None, as in scikit-learn: draws weights, order and split.
        verbose: show a bar of the steps (tqdm, the extra ``cli``).

    Attributes:
        model_: the network, of ``gd.models``.
        history_: what happened, a :class:`gdcore.History`; ``n_iter_`` epochs.
        coef_, intercept_: of a linear model, in the shapes of scikit-learn's.

    ``X`` (n, features) is trained on in float32 if it is of that dtype, else in float64; ``y`` is (n,) or (n, k).
    ``X`` of float32 is trained on in float32, and predictions have its precision: seven digits.

    Ctrl-C ends the training early: the estimator keeps what was learned, and ``fit`` raises KeyboardInterrupt, so
    that a search that called it ends too.

    >>> import numpy as np, gdcore as gd
    >>> X = np.random.default_rng(0).standard_normal((200, 2))
    >>> regressor = gd.GDRegressor(lr=0.05, epochs=50, random_state=0).fit(X, X @ [1.0, -2.0] + 3)
    >>> regressor.coef_.round(3), round(regressor.intercept_, 3)
    (array([ 1., -2.]), 3.0)
    """

    def fit(self, X: Any, y: Any) -> "GDRegressor":  # noqa: N803
        """Train on the samples ``X`` and their targets ``y``, from new weights, and return the estimator.

        Raises TypeError or ValueError for a parameter out of its range and for samples that are none, and
        :class:`gdcore.DivergenceError` where the loss grows without end.
        """
        x, y = validate_data(self, X, y, dtype=DTYPES, multi_output=True, y_numeric=True)
        columns = y.reshape(len(y), -1).astype(np.float64)
        scaling = Scaling.of(columns)
        targets = scaling.standardised(columns).astype(x.dtype)
        one = targets.shape[1] == 1
        self._train(x, targets[:, 0] if one else targets, "regression", targets.shape[1])
        weights, biases = self.model_.params
        with np.errstate(under="ignore"):
            weights[-1] *= scaling.scale
            biases[-1][:] = biases[-1] * scaling.scale + scaling.center
        if not self.hidden:
            self.coef_ = weights[0][:, 0].copy() if one else weights[0].T.copy()
            self.intercept_ = float(biases[0][0]) if one else biases[0].copy()
        self._let_out()
        return self

    def predict(self, X: Any) -> Array:  # noqa: N803
        """Return the predictions for the samples ``X``, (n,) or (n, k)."""
        x = self._checked(X)
        return self.model_.predict(x)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class GDClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A network that predicts classes, fitted by gradient descent on the cross-entropy.

    Its parameters and attributes are those of :class:`GDRegressor`, and ``classes_``: the classes in order. Two of
    them take one output, the logit of the second; more of them one each. With no hidden layers this is logistic
    regression, with ``l2 = 1 / (C n)`` for ``C`` of scikit-learn's and ``n`` samples.

    >>> import numpy as np, gdcore as gd
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> classifier = gd.GDClassifier(lr=0.1, random_state=0).fit(X, ["low", "low", "high", "high"])
    >>> classifier.predict([[0.5], [2.5]])
    array(['low', 'high'], dtype='<U4')
    """

    def fit(self, X: Any, y: Any) -> "GDClassifier":  # noqa: N803
        """Train on the samples ``X`` and their classes ``y``, (n,), from new weights, and return the estimator.

        Raises as :meth:`GDRegressor.fit` does, and ValueError for fewer than two classes.
        """
        x, y = validate_data(self, X, y, dtype=DTYPES)
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        count = len(classes)
        if count < 2:
            raise ValueError(f"y: expected 2 classes or more, got {count} class")
        self._train(x, labels, *(("binary", 1) if count == 2 else ("classes", count)))
        self.classes_ = classes
        if not self.hidden:
            (w,), (b,) = self.model_.params
            self.coef_, self.intercept_ = w.T.copy(), b.copy()
        self._let_out()
        return self

    def predict(self, X: Any) -> Array:  # noqa: N803
        """Return the most likely class of each sample of ``X``, (n,)."""
        x = self._checked(X)
        classes: Array = self.classes_[self.model_.predict(x)]
        return classes

    def predict_proba(self, X: Any) -> Array:  # noqa: N803
        """Return the probability of each class, in the order of ``classes_``: (n, classes)."""
        x = self._checked(X)
        return self.model_.predict_proba(x)

    def decision_function(self, X: Any) -> Array:  # noqa: N803
        """Return the logits: (n, classes), or, for two classes, (n,), positive for the second."""
        x = self._checked(X)
        outputs: Array = self.model_.outputs(self.model_.params, x)
        return outputs
