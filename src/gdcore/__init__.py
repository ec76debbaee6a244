"""Gradient-descent steps for NumPy arrays: compiled, fused, in place, the same bits on every machine."""

from . import reference, updates
from .optimizers import SGD, Adam, AdamW, Momentum, RMSProp
from .training import History, fit, minibatches

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "History",
    "Momentum",
    "RMSProp",
    "fit",
    "minibatches",
    "reference",
    "updates",
]

__version__ = "0.1.0"
