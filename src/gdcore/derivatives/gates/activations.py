"""The activations of nets: compiled, in one pass forward and one back, with the same bits on every CPU.

At 0, ``relu`` has the gradient 0. docs/gates.md says how exact the exponential functions are.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from .._gate import Gate
from .._traced import Traced
from .._usual import Elementwise
from ..batched import Batched
from ..joining import array
from ..nets import functions, plain
from .arithmetic import masked
from .table import TABLE, Row, usual_unary


def relu(x: Any) -> Any:
    """Return ``max(x, 0)`` of each element; its gradient at 0 is 0.

    Arguments:
        x: an array of floats, or a number.

    Raises TypeError for what is no number.

    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    return _relu(x) if type(x) is Traced else _plain_relu(x)


def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent of each element.

    Arguments:
        x: an array of floats, or a number.

    Raises TypeError for what is no number.

    >>> tanh(np.array([0.0, 1000.0]))
    array([0., 1.])
    """
    return _tanh(x) if type(x) is Traced else _plain_tanh(x)


def sigmoid(x: Any) -> Any:
    """Return ``1 / (1 + exp(-x))`` of each element; no ``x`` overflows.

    Arguments:
        x: an array of floats, or a number.

    Raises TypeError for what is no number.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    return _sigmoid(x) if type(x) is Traced else _plain_sigmoid(x)


def softplus(x: Any) -> Any:
    """Return ``log(1 + exp(x))`` of each element; no ``x`` overflows.

    Arguments:
        x: an array of floats, or a number.

    Raises TypeError for what is no number.

    >>> softplus(np.array([-1000.0, 1000.0]))
    array([   0., 1000.])
    """
    return _softplus(x) if type(x) is Traced else _plain_softplus(x)


def gelu(x: Any) -> Any:
    """Return ``x * cdf(x)`` of each element, with the exact ``cdf`` of the normal distribution.

    Arguments:
        x: an array of floats, or a number.

    Raises TypeError for what is no number.

    >>> gelu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413])

    Source: Hendrycks, Gimpel, "Gaussian error linear units (GELUs)", 2016.
    """
    return _gelu(x) if type(x) is Traced else _plain_gelu(x)


def silu(x: Any) -> Any:
    """Return ``x * sigmoid(x)`` of each element, also called swish.

    Arguments:
        x: an array of floats, or a number.

    Raises TypeError for what is no number.

    >>> silu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.2689,  0.    ,  0.7311])

    Source: Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units", 2017.
    """
    return _silu(x) if type(x) is Traced else _plain_silu(x)


def _plain(name: str) -> Callable[[Any], Any]:
    compiled = plain.elementwise(name) if name != "relu" else lambda x: np.maximum(x, 0)

    def apply(x: Any) -> Any:
        if type(x) is Batched:
            return Batched(ACTIVATIONS[name](x.value))
        if type(x) is list or (type(x) is np.ndarray and x.dtype.char == "O"):
            x = array(x)
        return ACTIVATIONS[name](x) if type(x) is Traced else compiled(x)

    return apply


_plain_relu, _plain_tanh, _plain_sigmoid, _plain_softplus, _plain_gelu, _plain_silu = map(
    _plain, ("relu", "tanh", "sigmoid", "softplus", "gelu", "silu")
)

_cdf: Gate = Gate(
    "normal cdf",
    lambda x: functions.normal_cdf(plain.floats(x))[0],
    (lambda ans, x: lambda g: g * (np.exp(-0.5 * x * x) * functions.DENSITY),),
    stacks=True,
)


def _silu_slope(x: Any) -> Any:
    p = sigmoid(x)
    return p + x * (p * (1 - p))


def _slope_of_sigmoid(x: Any) -> Any:
    return _slope(x) if type(x) is Traced else _plain_sigmoid(x) * _plain_sigmoid(-x)


_slope = Elementwise(
    Gate(
        "the slope of gd.sigmoid",
        _slope_of_sigmoid,
        (lambda ans, x: lambda g: g * (-ans * np.tanh(x / 2)),),
        stacks=True,
    ),
    _slope_of_sigmoid,
)

SLOPES: Final[dict[str, Callable[[Any, Any, Any], Any]]] = {
    "relu": lambda g, ans, x: masked(g, ans > 0),
    "tanh": lambda g, ans, x: g * (1 - ans * ans),
    "sigmoid": lambda g, ans, x: g * (ans * (1 - ans)),
    "softplus": lambda g, ans, x: g * sigmoid(x),
    "gelu": lambda g, ans, x: g * (_cdf(x) + x * (np.exp(-0.5 * x * x) * functions.DENSITY)),
    "silu": lambda g, ans, x: g * _silu_slope(x),
}
"""The gradient by what each was given, in gates: where it is to be differentiated, or there are several."""

BY_RESULT: Final = {"relu", "tanh", "sigmoid"}
"""Those whose slope follows from what they gave; that of the others from what they were given."""

ACTIVATIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "relu": relu,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "gelu": gelu,
    "silu": silu,
}


def layer(x: Any, w: Any, b: Any, activation: str | None) -> Any:
    """Return ``activation(x @ w + b)`` in the gates that it is made of."""
    z = x @ w if b is None else x @ w + b
    return z if activation is None else ACTIVATIONS[activation](z)


def _in_layer(name: str) -> Gate:
    vjp = lambda ans, x: lambda g: SLOPES[name](g, ans, x)  # noqa: E731
    return Gate(f"{name} in a layer", ACTIVATIONS[name], (vjp,), stacks=True)


IN_LAYERS: Final = {name: (_in_layer(name), name in BY_RESULT) for name in ACTIVATIONS}
"""The gates of those within a dense layer, and whether the slope follows from the result."""


def _activation(name: str) -> Callable[[Any], Any]:
    function, formula = ACTIVATIONS[name], SLOPES[name]

    def vjp(ans: Any, x: Any) -> Any:
        kept = ans if name in BY_RESULT else x

        def pull(g: Any) -> Any:
            if name == "sigmoid":  # near 1, little is left of 1 - ans
                return g * _slope_of_sigmoid(x)
            d = plain.slope(name, g, kept)
            return formula(g, ans, x) if d is None else d

        return pull

    TABLE.append(Row(function, usual_unary(-2.0, 2.0), function))
    gate = Gate(f"gd.{name}", function, (vjp,), stacks=True)
    if name == "sigmoid":
        return Elementwise(gate, function, "logistic")
    return Elementwise(gate, function, name, by_result=name in BY_RESULT)


_relu, _tanh, _sigmoid, _softplus, _gelu, _silu = map(_activation, ACTIVATIONS)
