"""Gradient-descent steps for NumPy arrays: compiled, fused, in place, the same bits on every machine."""

from . import reference, updates
from .optimizers import SGD, Adam, AdamW, Momentum, RMSProp

__all__ = ["SGD", "Adam", "AdamW", "Momentum", "RMSProp", "reference", "updates"]

__version__ = "0.1.0"
