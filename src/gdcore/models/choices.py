"""What tables and estimators offer by name, and what a run takes by default."""

from typing import Final

from ..optimizers import SGD, Adam, Momentum, Optimizer, RMSProp

OPTIMIZERS: Final[dict[str, tuple[type[Optimizer], float]]] = {
    "sgd": (SGD, 0.01),
    "momentum": (Momentum, 0.01),
    "rmsprop": (RMSProp, 0.002),
    "adam": (Adam, 0.002),
}
"""Each with the learning rate that it has by default, for standardised columns and batches of 64."""

LEAST_STEPS: Final = 3000
LEAST_EPOCHS: Final = 20


def default_epochs(rows: int, batch_size: int) -> int:
    """Return how many epochs a run has unless told: small tables need many, as they give few steps in each."""
    return max(LEAST_EPOCHS, -(-LEAST_STEPS // -(-rows // batch_size)))
