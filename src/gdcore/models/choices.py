"""Which optimizers tables and estimators offer by name, and with which learning rate."""

from typing import Final

from ..optimizers import SGD, Adam, Momentum, Optimizer, RMSProp

OPTIMIZERS: Final[dict[str, tuple[type[Optimizer], float]]] = {
    "sgd": (SGD, 0.01),
    "momentum": (Momentum, 0.01),
    "rmsprop": (RMSProp, 0.002),
    "adam": (Adam, 0.002),
}
"""Each with the learning rate that it has by default, for standardised columns and batches of 64."""
