"""Models for tables: linear, logistic, softmax, and the multilayer perceptron. All are one dense network.

Layer ``i`` computes ``h_i = activation(h_{i-1} W_i + b_i)`` from ``h_0 = x``, one sample a row; the last layer has
no activation. The task says what its outputs mean, and by which loss they are trained: ``"regression"``, the mean
squared error; ``"binary"`` and ``"classes"``, the cross-entropy. tasks.py has the formulas.

``loss`` and ``outputs`` are the specification, in functions that can be differentiated; ``value_and_grad`` is the
same by hand, and faster. Numbers out of range become inf or nan without a warning: a diverging run shows in its
loss.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from ..arguments import Array, describe
from ..checkpoints import CheckpointError, load
from ..derivatives import dense, relu, sigmoid, tanh
from ..metrics import Metric
from .backprop import Backprop, Params
from .rows import is_sparse
from .shapes import checked_dtype, checked_params, checked_sizes, one_of
from .tasks import TASKS
from .trainable import Trainable

ACTIVATIONS: Final = {"relu": "he", "tanh": "glorot", "sigmoid": "glorot"}
"""What a hidden layer does to its sums, by the names of gates, and how its weights begin."""


GATES: Final[dict[str, Callable[[Any], Any]]] = {"relu": relu, "tanh": tanh, "sigmoid": sigmoid}


def _he(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    drawn: Array = rng.standard_normal(shape) * np.sqrt(2 / shape[0])
    return drawn


def _glorot(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    limit = np.sqrt(6 / sum(shape))
    return rng.uniform(-limit, limit, shape)


INITS: Final[dict[str, Callable[[np.random.Generator, tuple[int, int]], Array]]] = {"he": _he, "glorot": _glorot}


class Network(Trainable):
    """A dense network: the sizes of its layers, its task and its parameters. The models by name declare it.

    Arguments:
        sizes: features, units of each hidden layer, outputs: two or more ints >= 1.
        task: ``"regression"``, ``"binary"``, with one output, or ``"classes"``, with two or more.
        activation: of the hidden layers: ``"relu"``, ``"tanh"`` or ``"sigmoid"``.
        dtype: float32 or float64, of the parameters and of ``x``.
        params: ``(weights, biases)``, two lists with an array a layer: (inputs, outputs) and (outputs,). They are
            held, not copied. None makes zeros.

    Raises TypeError or ValueError for an argument that is none of these.

    The methods take ``params`` first, as :func:`gdcore.fit` calls them; those that people call by themselves,
    ``fit``, ``score``, ``predict``, ``predict_proba`` and ``save``, use ``model.params``. No method but ``fit``
    changes the model, so threads may share one.

    >>> Network((4, 8, 3), "classes", activation="tanh")
    Network(4 -> 8 -> 3, classes, float64)
    """

    def __init__(
        self,
        sizes: Sequence[int],
        task: str,
        *,
        activation: str = "relu",
        dtype: Any = np.float64,
        params: Any = None,
    ) -> None:
        self.task = one_of("task", task, TASKS)
        self.activation = one_of("activation", activation, ACTIVATIONS)
        self.dtype = checked_dtype(dtype)
        self.sizes = checked_sizes(sizes)
        TASKS[task].check_outputs(self.sizes[-1])
        shapes = list(pairwise(self.sizes))
        weights = [np.zeros(shape, self.dtype) for shape in shapes]
        biases = [np.zeros(shape[1], self.dtype) for shape in shapes]
        self._backprop = Backprop(self.sizes, activation, task, self.dtype)
        self.params: Params = (weights, biases) if params is None else checked_params(params, (weights, biases))

    def groups(self) -> list[dict[str, Any]]:
        """Return the parameters as an optimizer takes them, with biases that never decay.

        ``gd.Adam(model.params)`` treats all alike. Both take the gradients of ``value_and_grad``.

        >>> import gdcore as gd
        >>> model = Linear(2)
        >>> gd.SGD(model.groups(), lr=0.1, l2=0.01).groups[1]["l2"]
        0.0
        """
        weights, biases = self.params
        return [{"params": weights}, {"params": biases, "weight_decay": 0.0, "l2": 0.0}]

    def outputs(self, params: Any, x: Any) -> Any:
        """Return what the last layer gives for the samples ``x``: (n, outputs), or (n,) where one is a sample's.

        Arguments:
            params: a tree like the model's own.
            x: samples, (n, features).

        Raises TypeError or ValueError for samples of another shape.
        """
        weights, biases = params
        h = x
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for w, b in zip(weights[:-1], biases[:-1], strict=True):
                h = _layer(h, w, b, self.activation)
            return self._squeezed(_layer(h, weights[-1], biases[-1]))

    def loss(self, params: Any, x: Any, y: Array, weights: Array | None = None) -> Any:
        """Return the loss of the samples ``x``, (n, features), with the targets ``y``: one number.

        Arguments:
            params: a tree like the model's own.
            x: samples, (n, features).
            y: their targets.
            weights: those of the samples, (n,): ``sum(w_i loss_i) / n``; None for 1.

        Raises TypeError or ValueError for samples or targets of another shape.
        """
        task = TASKS[self.task]
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            outputs, y = self.outputs(params, x), self._targets(x, y)
            return task.loss(outputs, y) if weights is None else np.mean(task.each(outputs, y) * weights)

    def value_and_grad(self, params: Any, x: Any, y: Array, weights: Array | None = None) -> tuple[float, Params]:
        """Return the loss of a batch and its gradients by ``params``, by hand (backpropagation).

        The arrays of the gradients are yours. Once nothing holds them any more, a later call uses them again.

        With ``d_i`` the gradient by the sums of layer i: ``dW_i = h_{i-1}^T d_i``, ``db_i = sum(d_i)`` over the
        samples, and ``d_{i-1} = (d_i W_i^T) * activation'``.

        Arguments:
            params: as :attr:`params`.
            x: (n, features) of the model's dtype, n >= 1: an array, or a sparse one of SciPy's by rows (CSR), of
                which no dense one is made.
            y: what the task asks for, n of them.
            weights: of the samples, real numbers >= 0, (n,), or None: the loss is ``sum(w_i loss_i) / n``. Give all
                samples weights of mean 1, and that is their weighted mean.

        Raises TypeError or ValueError for an ``x``, ``y`` or ``weights`` that is none of these.

        >>> import numpy as np
        >>> model = Linear(1)
        >>> model.value_and_grad(model.params, np.array([[3.0]]), np.array([2.0]))
        (4.0, ([array([[-12.]])], [array([-4.])]))

        Source: Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", 1986.
        """
        self._check_samples(x)
        y = self._targets(x, y, trusted=True)
        return self._backprop(params, x, y, None if weights is None else self._checked_weights(weights, len(y)))

    @property
    def metrics(self) -> dict[str, Metric]:
        """What :func:`gdcore.fit` may tell of it: ``rmse``, or ``accuracy`` and ``cross_entropy`` for classes."""
        return {metric.__name__: metric(self.outputs) for metric in TASKS[self.task].metrics}

    @property
    def config(self) -> dict[str, Any]:
        """All of the model but its parameters, for JSON; :func:`from_config` makes it anew."""
        return {
            "sizes": list(self.sizes),
            "task": self.task,
            "activation": self.activation,
            "dtype": self.dtype.name,
        }

    def predict(self, x: Any) -> Array:
        """Return the prediction for each sample of ``x``, (n, features): the outputs, or the most likely class."""
        return TASKS[self.task].predictions(self._own_outputs(x))

    def predict_proba(self, x: Any) -> Array:
        """Return the probability of each class, (n, classes), for the samples of ``x``, (n, features).

        Raises TypeError for a regression.
        """
        probabilities = TASKS[self.task].probabilities
        if probabilities is None:
            raise TypeError(f"predict_proba: expected a model of classes, got one of {self.task}")
        return probabilities(self._own_outputs(x))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the model that ``save`` wrote, of the class that it had.

        Raises as :func:`gdcore.load` does, and :class:`gdcore.CheckpointError` for a file of anything else.
        """
        checkpoint = load(path)
        kept = checkpoint.metadata if isinstance(checkpoint.metadata, dict) else {}
        name = kept.get("model", "another file")
        kind = next((kind for kind in (cls, *cls.__subclasses__()) if kind.__name__ == name), None)
        if kind is None:
            raise CheckpointError(f"path: expected a model {cls.__name__} in {path}, got {name}")
        model = kind.__new__(kind)
        Network.__init__(model, **from_config(kept["config"]).config, params=checkpoint.params)
        return model

    def _own_outputs(self, x: Any) -> Array:
        x = x.astype(self.dtype, copy=False) if is_sparse(x) else np.asarray(x, self.dtype)
        self._check_samples(x)
        outputs: Array = self.outputs(self.params, x)
        return outputs

    def _squeezed(self, z: Any) -> Any:
        return z[:, 0] if self.sizes[-1] == 1 else z

    def _targets(self, x: Any, y: Any, *, trusted: bool = False) -> Array:
        return TASKS[self.task].targets(y, x.shape[0], self.sizes[-1], self.dtype, trusted=trusted)

    def _check_samples(self, x: Any) -> None:
        typed = (isinstance(x, np.ndarray) or is_sparse(x)) and x.dtype == self.dtype
        if not typed or x.ndim != 2 or x.shape[1] != self.sizes[0] or not x.shape[0]:
            error = ValueError if typed else TypeError
            raise error(f"x: expected {self.dtype} (n, {self.sizes[0]}) with n >= 1, got {describe(x)}")

    def _checked_weights(self, weights: Any, n: int) -> Array:
        if not isinstance(weights, np.ndarray) or weights.dtype.kind not in "iuf":
            raise TypeError(f"weights: expected numbers in an array, got {describe(weights)}")
        if weights.shape != (n,) or not np.minimum.reduce(weights) >= 0:
            got = describe(weights) if weights.shape != (n,) else np.minimum.reduce(weights)
            raise ValueError(f"weights: expected numbers >= 0, shape ({n},), got {got}")
        return weights.astype(self.dtype, copy=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({' -> '.join(map(str, self.sizes))}, {self.task}, {self.dtype})"


class Linear(Network):
    """Linear regression: ``y = x W + b``, trained by the mean squared error. Its parameters start at 0.

    Arguments:
        features: columns of ``x``, an int >= 1.
        targets: numbers that a sample predicts, an int >= 1. ``y`` is (n,) for one, else (n, targets).
        dtype: float32 or float64.

    Raises TypeError or ValueError for an argument that is none of these.

    >>> import numpy as np, gdcore as gd
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((100, 2))
    >>> y = x @ [1.0, -2.0] + 3
    >>> model = Linear(2)
    >>> optimizer = gd.Momentum(model.groups(), lr=0.1)
    >>> _ = gd.fit(model.value_and_grad, model.params, (x, y), optimizer, epochs=100, batch_size=20, rng=rng)
    >>> model.predict(np.array([[1.0, 1.0]])).round(6)
    array([2.])
    """

    def __init__(self, features: int, targets: int = 1, *, dtype: Any = np.float64) -> None:
        super().__init__((features, targets), "regression", dtype=dtype)


class Logistic(Network):
    """Logistic regression, for two classes: ``p(1) = sigmoid(x W + b)``. Its parameters start at 0.

    Arguments:
        features: columns of ``x``, an int >= 1.
        dtype: float32 or float64.

    Raises TypeError or ValueError for an argument that is none of these.

    >>> import numpy as np
    >>> Logistic(2).predict_proba(np.array([[1.0, 1.0]]))
    array([[0.5, 0.5]])
    """

    def __init__(self, features: int, *, dtype: Any = np.float64) -> None:
        super().__init__((features, 1), "binary", dtype=dtype)


class Softmax(Network):
    """Softmax regression, for two classes or more: ``p = softmax(x W + b)``. Its parameters start at 0.

    Arguments:
        features: columns of ``x``, an int >= 1.
        classes: how many there are, an int >= 2.
        dtype: float32 or float64.

    Raises TypeError or ValueError for an argument that is none of these.

    >>> import numpy as np
    >>> Softmax(2, 4).predict_proba(np.array([[1.0, 1.0]]))
    array([[0.25, 0.25, 0.25, 0.25]])
    """

    def __init__(self, features: int, classes: int, *, dtype: Any = np.float64) -> None:
        super().__init__((features, classes), "classes", dtype=dtype)


class MLP(Network):
    """Multilayer perceptron: dense layers with an activation between them.

    Biases start at 0. Weights are drawn in float64 and rounded to ``dtype``: He's from a normal distribution of
    variance ``2 / inputs`` of the layer, Glorot's from a uniform one within ``+-sqrt(6 / (inputs + outputs))``.

    Arguments:
        sizes: features, units of each hidden layer, outputs, as in (64, 64, 10).
        task: ``"regression"``, ``"binary"`` or ``"classes"``.
        rng: draws the weights.
        activation: of the hidden layers: ``"relu"``, ``"tanh"`` or ``"sigmoid"``.
        init: ``"he"`` or ``"glorot"``, for all layers. None is He's for relu and Glorot's for the others.
        dtype: float32 or float64.

    Raises TypeError or ValueError for an argument that is none of these.

    >>> import numpy as np
    >>> model = MLP((4, 8, 3), task="classes", rng=np.random.default_rng(0))
    >>> model
    MLP(4 -> 8 -> 3, classes, float64)
    >>> model.predict(np.zeros((2, 4)))
    array([0, 0])

    Sources: He et al., "Delving deep into rectifiers", 2015, equation 10; Glorot, Bengio, "Understanding the
    difficulty of training deep feedforward neural networks", 2010, equation 16.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        task: str,
        rng: np.random.Generator,
        activation: str = "relu",
        init: str | None = None,
        dtype: Any = np.float64,
    ) -> None:
        super().__init__(sizes, task, activation=activation, dtype=dtype)
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng: expected a numpy.random.Generator, got {rng!r} of type {type(rng).__name__}")
        draw = INITS[ACTIVATIONS[activation] if init is None else one_of("init", init, INITS)]
        for w in self.params[0]:
            w[:] = draw(rng, w.shape)


def from_config(config: Mapping[str, Any], params: Any = None) -> Network:
    """Return the network whose ``config`` this is, with ``params``, or with zeros to be filled in.

    Raises TypeError or ValueError for a config that is none, and for parameters that do not fit it.

    Arguments:
        config: what ``model.config`` was.
        params: the parameters, a tree of arrays; None for zeros.

    >>> from_config(Softmax(4, 3).config)
    Network(4 -> 3, classes, float64)
    """
    expected = ("sizes", "task", "activation", "dtype")
    if not isinstance(config, Mapping) or set(config) != set(expected):
        got = ", ".join(map(repr, config)) if isinstance(config, Mapping) else type(config).__name__
        raise ValueError(
            f"config: expected a dict of {', '.join(map(repr, expected))}, got {got or 'none of them'}"
        )
    return Network(**config, params=params)


def _layer(h: Any, w: Any, b: Any, activation: str | None = None) -> Any:
    if not is_sparse(h):
        return dense(h, w, b, activation)
    z = h @ w + b
    return z if activation is None else GATES[activation](z)
