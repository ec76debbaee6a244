"""What tests walk in place of lists of their own: every rule and every optimizer that there is."""

from functools import partial

import pytest

import gdcore as gd
from gdcore import optimizers, rules

RULES = list(rules.RULES.values())
KINDS = {name: getattr(gd, name) for name in optimizers.__all__}


def settings(kind, **given):
    """Hyperparameters with which an optimizer uses all that its rule has."""
    return {"lr": 0.01, **kind.rule.options, "weight_decay": 0.1, "l2": 0.1, **given}


MAKERS = {name: partial(kind, **settings(kind)) for name, kind in KINDS.items()}

every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
every_make = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def kinds_with(name):
    """Return the optimizers that have a hyperparameter of this name."""
    return [kind for kind in KINDS.values() if name in kind.rule.hyperparameters]
