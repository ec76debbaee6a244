"""Gradient-descent steps for NumPy arrays: compiled, fused, in place, the same bits on every machine."""

from . import methods as methods  # traced values are complete before any derivative is taken
from . import metrics, reference, updates
from ._version import __version__ as __version__
from .checks import check_grads
from .config import show_config
from .derivatives import grad, hessian, hvp, jacobian, value_and_grad
from .extensions import gate, rematerialise, stop_gradient
from .gates_nets import (
    log_softmax,
    relu,
    sigmoid,
    softmax,
    softmax_cross_entropy,
    softplus,
    squared_error,
    tanh,
)
from .optimizers import SGD, Adam, AdamW, Momentum, RMSProp
from .threads import get_num_threads, set_num_threads
from .training import History, fit, minibatches

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "History",
    "Momentum",
    "RMSProp",
    "check_grads",
    "fit",
    "gate",
    "get_num_threads",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "log_softmax",
    "metrics",
    "minibatches",
    "reference",
    "relu",
    "rematerialise",
    "set_num_threads",
    "show_config",
    "sigmoid",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "squared_error",
    "stop_gradient",
    "tanh",
    "updates",
    "value_and_grad",
]
