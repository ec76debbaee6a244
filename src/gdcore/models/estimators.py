"""Estimators for scikit-learn (the extra ``sklearn``): networks to be fitted, searched and piped as its own are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
    ClassifierMixin,
    RegressorMixin,
)
from sklearn.utils.multiclass import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
    check_classification_targets,
)
from sklearn.utils.validation import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
    validate_data,
)

from ..arguments import Array
from ..derivatives import log_softmax, softplus
from .learner import DTYPES, Learner, weighed
from .networks import Network
from .scaling import Scaling
from .weighing import by_class, check_sum


class GDRegressor(RegressorMixin, Learner):  # type: ignore[misc]
    """A network that predicts numbers, fitted by gradient descent on the mean squared error.

    Columns of about the same spread train best: put a ``StandardScaler`` before it. Targets need none: they are
    standardised for the training, and the last layer takes that back, so that the loss is the part of their
    variance that is not explained.

    Arguments:
        hidden: units of each hidden layer, ints >= 1, or one int for one layer; none make it linear.
        activation: of the hidden layers: ``"relu"``, ``"tanh"`` or ``"sigmoid"``.
        optimizer: the name of a rule, such as ``"adam"`` (docs/rules.md has them all), a class such as
            ``gd.AdamW``, or a function that makes an optimizer, such as
            ``functools.partial(gd.Adam, betas=(0.8, 0.99))``.
        lr: learning rate, >= 0. None is the one that goes with the optimizer there, 0.002 for adam.
        epochs: how often to go through the samples, an int >= 0. None is what makes 3,000 steps, and at least 20;
            a regression then ends before once it meets the targets to a millionth of their spread.
        batch_size: samples a step, an int >= 1.
        weight_decay: decoupled decay of the weights, >= 0; biases do not decay.
        l2: coupled penalty of the weights, >= 0: ``l2 / 2 * ||w||^2`` is added to the loss.
        schedule: how the learning rate goes: ``"cosine"``, ``"step"``, ``"exponential"``, ``"warmup-cosine"`` or
            ``"one-cycle"``, from ``lr`` over all steps; or, in place of ``lr``, a function of the step, from 0, as
            those of ``gd.schedules``.
        max_norm: largest global norm of the gradients, > 0; None does not limit it.
        patience: stop after so many epochs in which the loss of samples held back has not fallen, an int >= 1, and
            put the best parameters back. None trains on all samples, for all epochs.
        validation_fraction: the part of the samples that ``patience`` holds back, in (0, 1); of classes, as large a
            part of each, but never the last sample of one.
        tol: end once the loss has not fallen below its best by ``tol`` in ``n_iter_no_change`` epochs in a row,
            >= 0; None does not look. The loss is that of the samples trained on, as ``loss_curve_`` has it.
        n_iter_no_change: so many epochs, an int >= 1.
        warm_start: let ``fit`` begin with the weights of the fit before, and with a new optimizer.
        random_state: an int, a ``RandomState`` or None, as in scikit-learn: draws weights, order and split.
        verbose: show a bar of the steps (tqdm, the extra ``cli``).

    Attributes:
        model_: the network, of ``gd.models``.
        history_: what happened, a :class:`gdcore.History`; ``n_iter_`` epochs. ``stopped`` may also be ``"tol"``
            or ``"exact"``, where the targets are met.
        loss_curve_, best_loss_: the losses of the epochs, without penalties, and the least of them.
        validation_scores_, best_validation_score_: with ``patience``, accuracy or R2 of the samples held back after
            each epoch, and the best; else None. ``patience`` itself compares their losses.
        coef_, intercept_: of a linear model, in the shapes of scikit-learn's.
        coefs_, intercepts_: of all layers, as lists.

    ``X`` (n, features) may be sparse: it is used by rows (CSR), and no dense copy is made, not even of a batch; the
    weights are dense. ``y`` is (n,) or (n, k). ``X`` is trained on in float32 if it is of that dtype, else in
    float64; with float32 predictions have its precision: seven digits.

    Ctrl-C ends the training early: the estimator keeps what was learned, and ``fit`` raises KeyboardInterrupt, so
    that a search that called it ends too.

    scikit-learn's ``ConvergenceWarning`` says when the model is no better than a constant, was still learning or
    wandered at the end, or, being linear and unpenalised, is more than 1 % behind the fit that least squares finds;
    and what helps.

    >>> import numpy as np, gdcore as gd
    >>> X = np.random.default_rng(0).standard_normal((200, 2))
    >>> regressor = gd.GDRegressor(lr=0.05, epochs=50, random_state=0).fit(X, X @ [1.0, -2.0] + 3)
    >>> regressor.coef_.round(3), round(regressor.intercept_, 3)
    (array([ 1., -2.]), 3.0)
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "GDRegressor":  # noqa: N803
        """Train on the samples ``X`` and their targets ``y``, from new weights, and return the estimator.

        Arguments:
            X: (n, features); a sparse one stays sparse.
            y: (n,) or (n, k).
            sample_weight: numbers >= 0, (n,), not all 0: a sample of weight 2 counts as if it were there twice, one
                of weight 0 as if it were not there. Only their ratios matter. None weighs all alike.

        Raises TypeError or ValueError for a parameter out of its range and for samples that are none, and
        :class:`gdcore.DivergenceError` where the loss grows without end.
        """
        x, y = validate_data(self, X, y, dtype=DTYPES, accept_sparse="csr", multi_output=True, y_numeric=True)
        x, y, weights = weighed(x, y, self._weights(sample_weight, x))
        columns = y.reshape(len(y), -1).astype(np.float64)
        scaling = Scaling.of(columns, weights=weights)
        targets = scaling.standardised(columns).astype(x.dtype)
        rng, one = self._random(), targets.shape[1] == 1
        model = self._network(x.shape[1], targets.shape[1], "regression", x.dtype, rng)
        if self.warm_start and hasattr(self, "model_"):
            model = self._earlier(model)
            _take_in(model, scaling)
        unit = float(scaling.scale[0]) if one else 1.0
        said = self._train(model, rng, x, targets[:, 0] if one else targets, weights, unit)
        _give_back(model, scaling)
        # Where a column did not vary, what comes later may.
        self._scaling = replace(scaling, constant=np.zeros_like(scaling.constant))
        self._let_out(said)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "GDRegressor":  # noqa: N803
        """Go once through these samples, from where the training stands, and return the estimator.

        The optimizer, its step and the order of samples go on from call to call; the first call, or ``fit`` before
        it, says in which units the targets are trained on. ``epochs``, ``patience`` and ``tol`` are for ``fit``.

        Arguments:
            X: (n, features), a sparse one too.
            y: (n,) or (n, k).
            sample_weight: numbers >= 0, (n,), by which the losses are multiplied as they are: those of other calls
                are not known here.

        Raises as :meth:`fit` does.
        """
        first = not hasattr(self, "model_")
        x, y = validate_data(
            self,
            X,
            y,
            reset=first,
            dtype=DTYPES if first else self.model_.dtype,
            accept_sparse="csr",
            multi_output=True,
            y_numeric=True,
        )
        weights = self._weights(sample_weight, x)
        columns = y.reshape(len(y), -1).astype(np.float64)
        if first:
            scaling = Scaling.of(columns)
            scaling = replace(scaling, constant=np.zeros_like(scaling.constant))
            rng = self._random()
            model = self._network(x.shape[1], columns.shape[1], "regression", x.dtype, rng)
        else:
            scaling, model, rng = self._scaling, self.model_, None
            if columns.shape[1] != model.sizes[-1]:
                raise ValueError(
                    f"y: expected {model.sizes[-1]} targets a sample, as before, got {columns.shape[1]}"
                )
            _take_in(model, scaling)
        targets = scaling.standardised(columns).astype(x.dtype)
        try:
            self._pass(model, rng, x, targets[:, 0] if targets.shape[1] == 1 else targets, weights)
        finally:
            _give_back(model, scaling)
        self._scaling = scaling
        self._let_out()
        return self

    @property
    def coef_(self) -> Array:
        """The weights of a linear model, (features,) or (k, features)."""
        w, _ = self._linear("coef_")
        return w[:, 0] if w.shape[1] == 1 else w.T.copy()

    @property
    def intercept_(self) -> Any:
        """The intercept of a linear model, a float or (k,)."""
        _, b = self._linear("intercept_")
        return float(b[0]) if len(b) == 1 else b

    def predict(self, X: Any) -> Array:  # noqa: N803
        """Return the predictions for the samples ``X``, (n,) or (n, k)."""
        x = self._checked(X)
        return self.model_.predict(x)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class GDClassifier(ClassifierMixin, Learner):  # type: ignore[misc]
    """A network that predicts classes, fitted by gradient descent on the cross-entropy.

    Its parameters and attributes are those of :class:`GDRegressor`, and ``classes_``: the classes in order; and
    ``class_weight``: what their samples weigh, a dict, or ``"balanced"`` for all classes alike. Two of
    them take one output, the logit of the second; more of them one each. With no hidden layers this is logistic
    regression, with ``l2 = 1 / (C n)`` for ``C`` of scikit-learn's and ``n`` samples.

    >>> import numpy as np, gdcore as gd
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> classifier = gd.GDClassifier(lr=0.1, random_state=0).fit(X, ["low", "low", "high", "high"])
    >>> classifier.predict([[0.5], [2.5]])
    array(['low', 'high'], dtype='<U4')
    """

    classes_: Array

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
        class_weight: "str | Mapping[Any, float] | None" = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            hidden,
            activation=activation,
            optimizer=optimizer,
            lr=lr,
            epochs=epochs,
            batch_size=batch_size,
            weight_decay=weight_decay,
            l2=l2,
            schedule=schedule,
            max_norm=max_norm,
            patience=patience,
            validation_fraction=validation_fraction,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            warm_start=warm_start,
            random_state=random_state,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "GDClassifier":  # noqa: N803
        """Train on the samples ``X`` and their classes ``y``, (n,), from new weights, and return the estimator.

        ``sample_weight`` is as for :meth:`GDRegressor.fit`; each is multiplied by that of its class.

        Raises as :meth:`GDRegressor.fit` does, and ValueError for fewer than two classes.
        """
        x, y = validate_data(self, X, y, dtype=DTYPES, accept_sparse="csr")
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"y: expected 2 classes or more, got {len(classes)} class")
        weights = by_class(self.class_weight, classes, labels, self._weights(sample_weight, x))
        if weights is not None:
            check_sum("class_weight", weights)
        x, labels, weights = weighed(x, labels, weights)
        rng = self._random()
        model = self._new(x, classes, rng)
        if self.warm_start and hasattr(self, "model_"):
            if not np.array_equal(classes, self.classes_):
                raise ValueError(f"y: expected the classes of the fit before with warm_start, {self.classes_}")
            model = self._earlier(model)
        said = self._train(model, rng, x, labels, weights)
        self.classes_ = classes
        self._let_out(said)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> "GDClassifier":  # noqa: N803
        """Go once through these samples, from where the training stands, and return the estimator.

        Arguments:
            X: (n, features), a sparse one too.
            y: classes, (n,).
            classes: all classes that there will be, needed in the first call.
            sample_weight: as for :meth:`GDRegressor.partial_fit`. ``class_weight`` may be a dict.

        Raises as :meth:`fit` does, and ValueError for classes that differ from those of the first call.
        """
        first = not hasattr(self, "model_")
        if first and classes is None:
            raise ValueError("classes: expected all classes in the first call of partial_fit, got None")
        known = np.unique(classes) if first else self.classes_
        if not first and classes is not None and not np.array_equal(np.unique(classes), known):
            raise ValueError(f"classes: expected those of the first call, {known}, got {classes!r}")
        if len(known) < 2:
            raise ValueError(f"classes: expected 2 or more, got {len(known)}")
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight: expected None or a dict for partial_fit, which never sees all samples, got "
                f"{self.class_weight!r}"
            )
        dtype = DTYPES if first else self.model_.dtype
        x, y = validate_data(self, X, y, reset=first, dtype=dtype, accept_sparse="csr")
        check_classification_targets(y)
        strange = np.setdiff1d(y, known)
        if len(strange):
            raise ValueError(f"y: expected classes among {known}, got {strange[0]!r}")
        labels = np.searchsorted(known, y)
        weights = by_class(self.class_weight, known, labels, self._weights(sample_weight, x))
        rng = self._random() if first else None
        model = self.model_ if rng is None else self._new(x, known, rng)
        self._pass(model, rng, x, labels, weights)
        self.classes_ = known
        self._let_out()
        return self

    def _new(self, x: Any, classes: Array, rng: np.random.Generator) -> Network:
        task, outputs = ("binary", 1) if len(classes) == 2 else ("classes", len(classes))
        return self._network(x.shape[1], outputs, task, x.dtype, rng)

    @property
    def coef_(self) -> Array:
        """The weights of a linear model, (1, features) for two classes, else (classes, features)."""
        return self._linear("coef_")[0].T.copy()

    @property
    def intercept_(self) -> Array:
        """The intercepts of a linear model, (1,) or (classes,)."""
        return self._linear("intercept_")[1]

    def predict(self, X: Any) -> Array:  # noqa: N803
        """Return the most likely class of each sample of ``X``, (n,)."""
        x = self._checked(X)
        classes: Array = self.classes_[self.model_.predict(x)]
        return classes

    def predict_proba(self, X: Any) -> Array:  # noqa: N803
        """Return the probability of each class, in the order of ``classes_``: (n, classes)."""
        x = self._checked(X)
        return self.model_.predict_proba(x)

    def predict_log_proba(self, X: Any) -> Array:  # noqa: N803
        """Return the logarithm of the probability of each class, also where that is 0 to the last digit."""
        logits = self.decision_function(X)
        if logits.ndim == 1:
            return np.stack([-softplus(logits), -softplus(-logits)], axis=1)
        log_probabilities: Array = log_softmax(logits)
        return log_probabilities

    def decision_function(self, X: Any) -> Array:  # noqa: N803
        """Return the logits: (n, classes), or, for two classes, (n,), positive for the second."""
        x = self._checked(X)
        outputs: Array = self.model_.outputs(self.model_.params, x)
        return outputs


def _take_in(model: Network, scaling: Scaling) -> None:
    """Let a network that predicts targets predict standardised ones."""
    weights, biases = model.params
    with np.errstate(under="ignore"):
        weights[-1] /= scaling.scale
        biases[-1][:] = (biases[-1] - scaling.center) / scaling.scale


def _give_back(model: Network, scaling: Scaling) -> None:
    """Let a network that predicts standardised targets predict them as they are."""
    weights, biases = model.params
    with np.errstate(under="ignore"):
        weights[-1] *= scaling.scale
        biases[-1][:] = biases[-1] * scaling.scale + scaling.center


for _estimator in (GDRegressor, GDClassifier):  # what users see in tracebacks and pickles
    _estimator.__module__ = "gdcore"
