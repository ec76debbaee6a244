"""Which optimizers tables and estimators offer by name, and with which learning rate."""

from typing import Final

from .. import optimizers
from ..rules import RULES
from ..stepping import Optimizer

_DECLARED: Final = {name.lower(): getattr(optimizers, name) for name in optimizers.__all__}

OPTIMIZERS: Final[dict[str, tuple[type[Optimizer], float]]] = {
    rule.name: (_DECLARED[rule.name], rule.lr_for_tables) for rule in RULES.values() if rule.has_gradient
}
"""By the name of each rule: the declaration of that name, and the learning rate that it has by default."""
