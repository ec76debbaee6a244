"""Gradient-descent steps for NumPy arrays: compiled, fused, in place, the same bits on every machine."""

from . import reference, updates
from ._version import __version__ as __version__
from .config import show_config
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
    "fit",
    "get_num_threads",
    "minibatches",
    "reference",
    "set_num_threads",
    "show_config",
    "updates",
]
