"""What tables and estimators offer by name, and what a run takes by default."""

from collections.abc import Callable
from typing import Any, Final

from .. import optimizers, schedules
from ..rules import RULES
from ..stepping import Optimizer

_DECLARED: Final = {name.lower(): getattr(optimizers, name) for name in optimizers.__all__}

OPTIMIZERS: Final[dict[str, tuple[type[Optimizer], float]]] = {
    rule.name: (_DECLARED[rule.name], rule.lr_for_tables) for rule in RULES.values() if rule.has_gradient
}
"""By the name of each rule: the declaration of that name, and the learning rate that it has by default."""


def _warmup_cosine(lr: float, steps: int) -> Callable[[int], float]:
    rise = max(1, steps // 20)
    pieces = {0: schedules.warmup(lr, rise, lr / rise)}
    return schedules.join(pieces | {rise: schedules.cosine(lr, steps - rise)} if steps > rise else pieces)


SCHEDULES: Final[dict[str, tuple[Callable[[float, int], Callable[[int], float]] | None, str]]] = {
    "constant": (None, "the same rate throughout"),
    "step": (lambda lr, steps: schedules.step(lr, max(1, -(-steps // 3)), 0.1), "a tenth of it after each third"),
    "exponential": (
        lambda lr, steps: schedules.exponential(lr, 0.01, steps),
        "falls evenly to a hundredth of it",
    ),
    "cosine": (schedules.cosine, "half a cosine, down to 0"),
    "warmup-cosine": (_warmup_cosine, "up in the first twentieth, then as cosine"),
    "one-cycle": (lambda lr, steps: schedules.one_cycle(lr, max(4, steps)), "up from a 25th of it, then down to 0"),
}
"""Each makes a schedule of the rate and of the number of steps in the run; and how the help describes it."""


def optimizer_of(asked: Any, lr: float | None, groups: Any, **decays: Any) -> Optimizer:
    """Return an optimizer of ``groups``: by its name, of a class, or by a function that makes one.

    ``lr`` None is the rate by default of the rule. A class or function has its own defaults where ``decays`` are 0.
    Raises TypeError or ValueError for what is none of these.
    """
    names = ", ".join(map(repr, OPTIMIZERS))
    expected = f"optimizer: expected one of {names}, a class such as gd.Adam or a partial of one"
    if isinstance(asked, str) and asked in OPTIMIZERS:
        make, rate = OPTIMIZERS[asked]
        return make(groups, lr=rate if lr is None else lr, **decays)
    if isinstance(asked, Optimizer):
        raise ValueError(f"{expected}, as the weights are made anew, got a {type(asked).__name__} of other arrays")
    if not callable(asked):
        raise ValueError(f"{expected}, got {asked!r}")
    given = {name: value for name, value in decays.items() if value}
    kind = getattr(asked, "func", asked)
    if lr is None and "lr" not in getattr(asked, "keywords", ()) and hasattr(kind, "rule"):
        lr = kind.rule.lr_for_tables
    made = asked(groups, **given) if lr is None else asked(groups, lr=lr, **given)
    if not isinstance(made, Optimizer):
        raise TypeError(f"{expected}, got what makes a {type(made).__name__}")
    return made


def schedule_of(asked: Any, lr: float, steps: int) -> Callable[[int], float] | None:
    """Return a schedule of so many steps by its name; anything else as it is.

    Raises ValueError for a name that is none.
    """
    if not isinstance(asked, str):
        given: Callable[[int], float] | None = asked
        return given
    if asked not in SCHEDULES:
        raise ValueError(
            f"schedule: expected a function of the step, or one of {', '.join(map(repr, SCHEDULES))}, got {asked!r}"
        )
    make, _ = SCHEDULES[asked]
    return None if make is None else make(lr, steps)


LEAST_STEPS: Final = 3000
LEAST_EPOCHS: Final = 20

EXACT: Final = 1e-12
"""A regression whose epochs nobody has counted ends at this loss a target: met to a millionth of their spread.

Beyond it Adam's steps, of constant length, leap away and come back, and what they then find is rounding made large.
"""


def default_epochs(rows: int, batch_size: int) -> int:
    """Return how many epochs a run has unless told: small tables need many, as they give few steps in each."""
    return max(LEAST_EPOCHS, -(-LEAST_STEPS // -(-rows // batch_size)))
