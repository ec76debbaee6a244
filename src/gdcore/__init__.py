"""Gradient-descent steps for NumPy arrays: compiled, fused, in place, the same bits on every machine."""

from . import methods as methods  # traced values are complete before any derivative is taken
from . import metrics, reference, updates
from ._version import __version__ as __version__
from .batches import minibatches
from .checks import check_grads
from .clipping import clip_by_global_norm, clip_by_value
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
from .history import History
from .optimizers import SGD, Adam, AdamW, Momentum, RMSProp
from .runs import DivergenceError
from .threads import get_num_threads, set_num_threads
from .training import fit

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "DivergenceError",
    "History",
    "Momentum",
    "RMSProp",
    "check_grads",
    "clip_by_global_norm",
    "clip_by_value",
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
