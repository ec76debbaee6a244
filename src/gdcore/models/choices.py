"""What tables and estimators offer by name, and what a run takes by default."""

from typing import Final

from .. import optimizers
from ..rules import RULES
from ..stepping import Optimizer

_DECLARED: Final = {name.lower(): getattr(optimizers, name) for name in optimizers.__all__}

OPTIMIZERS: Final[dict[str, tuple[type[Optimizer], float]]] = {
    rule.name: (_DECLARED[rule.name], rule.lr_for_tables) for rule in RULES.values() if rule.has_gradient
}
"""By the name of each rule: the declaration of that name, and the learning rate that it has by default."""

LEAST_STEPS: Final = 3000
LEAST_EPOCHS: Final = 20


def default_epochs(rows: int, batch_size: int) -> int:
    """Return how many epochs a run has unless told: small tables need many, as they give few steps in each."""
    return max(LEAST_EPOCHS, -(-LEAST_STEPS // -(-rows // batch_size)))
