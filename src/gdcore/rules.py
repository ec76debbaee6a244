"""The update rules as a table: hyperparameters, slots and per-step coefficients, one row a rule.

The arithmetic on elements stands in two other places, and only there: in reference.py as plain NumPy, and in
_kernels.pyx as compiled loops. Everything else (updates, command line, estimators, tests, benchmarks) walks this
table.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from .arguments import flag, nonnegative, real_number
from .corrections import BLOCK, bias_corrections, nesterov_corrections

REQUIRED: Final = object()
"""The default of a hyperparameter that has none."""


class Rule(NamedTuple):
    """One update rule.

    ``hyperparameters`` maps each name to its default, in the order in which ``coefficients`` takes them.
    ``slots`` maps each state array, in the kernel's order, to the hyperparameter that asks for it (None: always
    there). ``options`` are the hyperparameters that choose a formula, with a value that tests try beside the
    default.

    ``constants(*hyperparameters)`` gives, in double, the numbers that are the same for all elements;
    ``coefficient_names`` names them, in the kernel's order, ``decay`` first. ``corrected`` names those that depend
    on the step, and ``corrections(block, *hyperparameters)`` gives the factors for them in each of the BLOCK steps
    from ``t = block * BLOCK`` on.

    ``lr_for_tables`` is the learning rate that tables have by default: of standardised columns, in batches of 64.
    """

    name: str
    hyperparameters: Mapping[str, Any]
    slots: Mapping[str, str | None]
    options: Mapping[str, Any]
    coefficient_names: tuple[str, ...]
    constants: Callable[..., tuple[float, ...]]
    corrected: tuple[str, ...] = ()
    corrections: Callable[..., tuple[tuple[float, ...], ...]] | None = None
    has_gradient: bool = True
    lr_for_tables: float = math.nan

    def used_slots(self, values: Mapping[str, Any]) -> tuple[str | None, ...]:
        """Return the slots in the kernel's order, with None for those that ``values`` does not ask for."""
        return tuple(name if asks is None or values[asks] else None for name, asks in self.slots.items())

    def coefficients(self, t: int, *values: Any) -> tuple[float, ...]:
        """Return the coefficients of step ``t``, in double."""
        return self._corrected(self.constants(*values), t, values)

    def _corrected(self, constants: tuple[float, ...], t: int, values: tuple[Any, ...]) -> tuple[float, ...]:
        if self.corrections is None:
            return constants
        corrected = list(constants)
        for name, factor in zip(self.corrected, self.corrections(t // BLOCK, *values)[t % BLOCK], strict=True):
            corrected[self.coefficient_names.index(name)] *= factor
        return tuple(corrected)

    def rounded(self, dtype: Any, t: int, *values: Any) -> tuple[Any, ...]:
        """Return the coefficients of step ``t``, rounded once from double to ``dtype``. Raises as ``check``."""
        scalar = np.dtype(dtype).type
        ordered = self.check(dict(zip(self.hyperparameters, values, strict=True)), (np.dtype(dtype),))
        with np.errstate(under="ignore"):
            return tuple(map(scalar, self.coefficients(t, *ordered)))

    def check(self, values: Mapping[str, Any], dtypes: Iterable[Any]) -> tuple[Any, ...]:
        """Return valid hyperparameters in order, each as a float, bool, pair of floats or None.

        Raises TypeError or ValueError for one that is out of its range, and ValueError if weights would change sign
        as they decay, and if a coefficient, of the first step or before it is corrected, does not survive rounding
        to one of ``dtypes``, of which those that no rule steps are ignored.
        """
        ordered = tuple([CHECKS[name](name, values[name]) for name in self.hyperparameters])
        constants = self.constants(*ordered)
        first = self._corrected(constants, 1, ordered)
        if constants[0] < 0.0:
            checked = dict(zip(self.hyperparameters, ordered, strict=True))
            lr, weight_decay = checked["lr"], checked["weight_decay"]
            raise ValueError(
                f"weight_decay: expected lr * weight_decay <= 1, as weights change sign beyond it, got "
                f"{lr} * {weight_decay} = {lr * weight_decay}"
            )
        if "eps" in values and values["eps"] == 0 and values["eps_root"] == 0:
            raise ValueError(f"eps: expected a finite number > 0, as eps_root is 0, got {values['eps']}")
        for dtype in dtypes:
            zero, infinity = ROUNDING.get(dtype, (-math.inf, math.inf))
            for name, constant, value in zip(self.coefficient_names, constants, first, strict=True):
                if not (constant < infinity and value < infinity):
                    raise ValueError(f"{name}: expected a value that is finite in {dtype}, got {constant:g}")
                if name in ("eps", "eps_root") and value <= zero and constant > 0.0:
                    raise ValueError(
                        f"{name}: expected a value that does not round to 0 in {dtype}, got {values[name]}, "
                        f"which is {value:.3g} in step 1"
                    )
        return ordered


ROUNDING: Final = {
    np.dtype(np.float32): (2.0**-150, (2.0 - 2.0**-24) * 2.0**127),
    np.dtype(np.float64): (0.0, math.inf),
}
"""By dtype: the largest double that rounds to 0, and the smallest one that rounds to infinity."""


# Hyperparameters: what each may be ------------------------------------------------------------------------------


def _decay_rate(name: str, value: object) -> float:
    expected = "a number in [0, 1)"
    number = real_number(name, value, expected)
    if not (0.0 <= number < 1.0):
        raise ValueError(f"{name}: expected {expected}, got {value}")
    return number


def _betas(name: str, value: object) -> tuple[float, float]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(f"{name}: expected a pair of numbers in [0, 1), got {value!r}")
    return _decay_rate(f"{name}[0]", value[0]), _decay_rate(f"{name}[1]", value[1])


def _dampening(name: str, value: object) -> float | None:
    if value is None:
        return None
    expected = "None or a number in [0, 1]"
    number = real_number(name, value, expected)
    if not (0.0 <= number <= 1.0):
        raise ValueError(f"{name}: expected {expected}, got {value}")
    return number


def check_slot(slot: str, array: object, asks: str, value: object) -> None:
    """Raise TypeError if the slot, which ``asks`` asks for by a ``value`` that is not 0, is not there."""
    if value and array is None:
        raise TypeError(f"{slot}: expected an array, as {asks} is {value}, got None")


CHECKS: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "lr": nonnegative,
    "beta": _decay_rate,
    "betas": _betas,
    "eps": nonnegative,
    "eps_root": nonnegative,
    "epsilon_hat": flag,
    "dampening": _dampening,
    "nesterov": flag,
    "centered": flag,
    "momentum": _decay_rate,
    "momentum_decay": nonnegative,
    "amsgrad": flag,
    "weight_decay": nonnegative,
    "l2": nonnegative,
}


# Coefficients: what depends on the step but not on the element --------------------------------------------------


def _adam_corrections(
    block: int,
    _lr: float,
    betas: tuple[float, float],
    _eps: float,
    _eps_root: float,
    epsilon_hat: bool,
    *_others: object,
) -> tuple[tuple[float, ...], ...]:
    factors = bias_corrections(*betas, block)
    return tuple([(factor, 1.0, 1.0) for factor, _, _ in factors]) if epsilon_hat else factors


def _decay_constants(lr: float, weight_decay: float) -> tuple[float, ...]:
    return (1.0 - lr * weight_decay,)


def _sgd_constants(lr: float, weight_decay: float, l2: float) -> tuple[float, ...]:
    return (1.0 - lr * weight_decay, l2, lr)


def _momentum_constants(
    lr: float, beta: float, dampening: float | None, nesterov: bool, weight_decay: float, l2: float
) -> tuple[float, ...]:
    gain = 1.0 - (beta if dampening is None else dampening)
    return (1.0 - lr * weight_decay, l2, lr, beta, gain, float(nesterov))


def _rmsprop_constants(
    lr: float,
    beta: float,
    eps: float,
    eps_root: float,
    _centered: bool,
    momentum: float,
    weight_decay: float,
    l2: float,
) -> tuple[float, ...]:
    return (1.0 - lr * weight_decay, l2, lr, beta, 1.0 - beta, eps, eps_root, momentum)


def _adam_constants(
    lr: float,
    betas: tuple[float, float],
    eps: float,
    eps_root: float,
    _epsilon_hat: bool,
    _amsgrad: bool,
    weight_decay: float,
    l2: float,
) -> tuple[float, ...]:
    beta1, beta2 = betas
    return (1.0 - lr * weight_decay, l2, lr, beta1, 1.0 - beta1, beta2, 1.0 - beta2, eps, eps_root)


def _nadam_corrections(
    block: int,
    _lr: float,
    betas: tuple[float, float],
    _eps: float,
    _eps_root: float,
    momentum_decay: float,
    *_others: object,
) -> tuple[tuple[float, ...], ...]:
    return nesterov_corrections(*betas, momentum_decay, block)


def _nadam_constants(
    lr: float,
    betas: tuple[float, float],
    eps: float,
    eps_root: float,
    _momentum_decay: float,
    weight_decay: float,
    l2: float,
) -> tuple[float, ...]:
    beta1, beta2 = betas
    return (1.0 - lr * weight_decay, l2, lr, lr, beta1, 1.0 - beta1, beta2, 1.0 - beta2, eps, eps_root)


def _lion_constants(lr: float, betas: tuple[float, float], weight_decay: float, l2: float) -> tuple[float, ...]:
    beta1, beta2 = betas
    return (1.0 - lr * weight_decay, l2, lr, beta1, 1.0 - beta1, beta2, 1.0 - beta2)


def _adagrad_constants(lr: float, eps: float, eps_root: float, weight_decay: float, l2: float) -> tuple[float, ...]:
    return (1.0 - lr * weight_decay, l2, lr, eps, eps_root)


# The table -------------------------------------------------------------------------------------------------------

DECAY = Rule(
    name="decay",
    hyperparameters={"lr": REQUIRED, "weight_decay": REQUIRED},
    slots={},
    options={},
    coefficient_names=("decay",),
    constants=_decay_constants,
    has_gradient=False,
)

SGD = Rule(
    name="sgd",
    hyperparameters={"lr": REQUIRED, "weight_decay": 0.0, "l2": 0.0},
    slots={},
    options={},
    coefficient_names=("decay", "l2", "lr"),
    constants=_sgd_constants,
    lr_for_tables=0.01,
)

MOMENTUM = Rule(
    name="momentum",
    hyperparameters={
        "lr": REQUIRED,
        "beta": 0.9,
        "dampening": None,
        "nesterov": False,
        "weight_decay": 0.0,
        "l2": 0.0,
    },
    slots={"v": None},
    options={"dampening": 0.0, "nesterov": True},
    coefficient_names=("decay", "l2", "lr", "beta", "gain", "nesterov"),
    constants=_momentum_constants,
    lr_for_tables=0.01,
)

RMSPROP = Rule(
    name="rmsprop",
    hyperparameters={
        "lr": 1e-3,
        "beta": 0.9,
        "eps": 1e-8,
        "eps_root": 0.0,
        "centered": False,
        "momentum": 0.0,
        "weight_decay": 0.0,
        "l2": 0.0,
    },
    slots={"s": None, "a": "centered", "buf": "momentum"},
    options={"eps_root": 1e-4, "centered": True, "momentum": 0.9},
    coefficient_names=("decay", "l2", "lr", "beta", "gain", "eps", "eps_root", "momentum"),
    constants=_rmsprop_constants,
    lr_for_tables=0.002,
)

ADAM = Rule(
    name="adam",
    hyperparameters={
        "lr": 1e-3,
        "betas": (0.9, 0.999),
        "eps": 1e-8,
        "eps_root": 0.0,
        "epsilon_hat": False,
        "amsgrad": False,
        "weight_decay": 0.0,
        "l2": 0.0,
    },
    slots={"m": None, "v": None, "vmax": "amsgrad"},
    options={"eps_root": 1e-4, "epsilon_hat": True, "amsgrad": True},
    coefficient_names=("decay", "l2", "lr", "beta1", "gain1", "beta2", "gain2", "eps", "eps_root"),
    constants=_adam_constants,
    corrected=("lr", "eps", "eps_root"),
    corrections=_adam_corrections,
    lr_for_tables=0.002,
)

ADAGRAD = Rule(
    name="adagrad",
    hyperparameters={"lr": 0.01, "eps": 1e-10, "eps_root": 0.0, "weight_decay": 0.0, "l2": 0.0},
    slots={"s": None},
    options={"eps_root": 1e-4},
    coefficient_names=("decay", "l2", "lr", "eps", "eps_root"),
    constants=_adagrad_constants,
    lr_for_tables=0.05,
)

NADAM = Rule(
    name="nadam",
    hyperparameters={
        "lr": 2e-3,
        "betas": (0.9, 0.999),
        "eps": 1e-8,
        "eps_root": 0.0,
        "momentum_decay": 4e-3,
        "weight_decay": 0.0,
        "l2": 0.0,
    },
    slots={"m": None, "v": None},
    options={"eps_root": 1e-4, "momentum_decay": 0.5},
    coefficient_names=("decay", "l2", "lr", "lr_g", "beta1", "gain1", "beta2", "gain2", "eps", "eps_root"),
    constants=_nadam_constants,
    corrected=("lr", "lr_g", "eps", "eps_root"),
    corrections=_nadam_corrections,
    lr_for_tables=0.002,
)

LION = Rule(
    name="lion",
    hyperparameters={"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0, "l2": 0.0},
    slots={"m": None},
    options={},
    coefficient_names=("decay", "l2", "lr", "beta1", "gain1", "beta2", "gain2"),
    constants=_lion_constants,
    lr_for_tables=0.001,
)

RULES: Final[Mapping[str, Rule]] = {
    rule.name: rule for rule in (DECAY, SGD, MOMENTUM, RMSPROP, ADAM, ADAGRAD, NADAM, LION)
}
