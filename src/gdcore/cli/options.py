"""What ``gdcore train`` can be asked for: its choices and its defaults."""

from collections.abc import Callable
from typing import Any, Final

from .. import schedules

TASKS: Final = ("regression", "classification")

MISSING: Final = ("error", "drop", "fill")


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

DEFAULTS: Final[dict[str, Any]] = {
    "features": None,
    "task": None,
    "categorical": None,
    "missing": "error",
    "hidden": (),
    "activation": "relu",
    "optimizer": "adam",
    "lr": None,
    "schedule": "constant",
    "clip": None,
    "epochs": None,
    "batch_size": 64,
    "weight_decay": 0.0,
    "l2": 0.0,
    "validation": 0.2,
    "patience": None,
    "seed": 0,
    "output": None,
    "plot": None,
    "checkpoint": None,
    "checkpoint_every": 10.0,
    "resume": False,
    "log_every": None,
}

LEAST_STEPS: Final = 2000
LEAST_EPOCHS: Final = 20
"""What a run takes by default: small tables need many epochs, as they give few steps in each."""
