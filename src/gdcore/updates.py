"""The compiled update rules as functions on arrays that the caller holds.

Each makes one step in place and returns None. ``param`` and the slots are writeable arrays of float32 or float64
of one shape and dtype; ``grad`` is another such array, which is only read. Any strides work. Slots start at 0.
Hyperparameters mean what they mean for the optimizer of that name. :mod:`gdcore.reference` has the same functions
in plain NumPy: they leave the same bits.

Raises TypeError or ValueError, before anything is written, for a hyperparameter out of its range, for arrays that
differ in shape or dtype or are read-only, and for arrays that overlap.
"""

from typing import Any

import numpy as np

from . import rules
from .engine import update

Array = np.ndarray[Any, Any]


def decay(param: Array, *, lr: float, weight_decay: float) -> None:
    """Decoupled weight decay alone: ``w = (1 - lr * weight_decay) * w``."""
    _update(rules.DECAY, 1, (lr, weight_decay), ("param",), (param,))


def sgd(param: Array, grad: Array, *, lr: float, weight_decay: float = 0.0, l2: float = 0.0) -> None:
    """Gradient descent: ``w = w - lr * g``."""
    _update(rules.SGD, 1, (lr, weight_decay, l2), ("param", "grad"), (param, grad))


def momentum(
    param: Array,
    grad: Array,
    v: Array,
    *,
    lr: float,
    beta: float = 0.9,
    dampening: float | None = None,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    l2: float = 0.0,
) -> None:
    """Momentum: ``v = beta * v + (1 - dampening) * g``, ``w = w - lr * v``."""
    values = (lr, beta, dampening, nesterov, weight_decay, l2)
    _update(rules.MOMENTUM, 1, values, ("param", "grad", "v"), (param, grad, v))


def rmsprop(
    param: Array,
    grad: Array,
    s: Array,
    *,
    lr: float = 1e-3,
    beta: float = 0.9,
    eps: float = 1e-8,
    a: Array | None = None,
    momentum: float = 0.0,
    buf: Array | None = None,
    weight_decay: float = 0.0,
    l2: float = 0.0,
) -> None:
    """RMSProp: ``s = beta * s + (1 - beta) * g^2``, ``w = w - lr * g / (sqrt(s) + eps)``.

    With the slot ``a`` it is centered; a ``momentum`` that is not 0 needs the slot ``buf``.
    """
    if buf is None:
        rules.check_buf(rules.CHECKS["momentum"]("momentum", momentum), buf)
    values = (lr, beta, eps, a is not None, momentum, weight_decay, l2)
    names = ("param", "grad", "s", None if a is None else "a", None if buf is None else "buf")
    _update(rules.RMSPROP, 1, values, names, (param, grad, s, a, buf))


def adam(
    param: Array,
    grad: Array,
    m: Array,
    v: Array,
    *,
    t: int,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    vmax: Array | None = None,
    weight_decay: float = 0.0,
    l2: float = 0.0,
) -> None:
    """Adam: ``m = b1 * m + (1 - b1) * g``, ``v = b2 * v + (1 - b2) * g^2``, bias-corrected.

    ``w = w - lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)``; ``t`` is 1 in the first step. With the slot
    ``vmax``, which keeps the largest ``v`` so far, it is amsgrad.
    """
    if isinstance(t, bool) or not isinstance(t, int | np.integer):
        raise TypeError(f"t: expected an integer >= 1, got {t!r}")
    if t < 1:
        raise ValueError(f"t: expected an integer >= 1, got {t}")
    values = (lr, betas, eps, vmax is not None, weight_decay, l2)
    names = ("param", "grad", "m", "v", None if vmax is None else "vmax")
    _update(rules.ADAM, int(t), values, names, (param, grad, m, v, vmax))


def _update(
    rule: rules.Rule, t: int, values: tuple[Any, ...], names: tuple[str | None, ...], arrays: tuple[Any, ...]
) -> None:
    given = dict(zip(rule.hyperparameters, values, strict=True))
    ordered = rule.check(given, (getattr(arrays[0], "dtype", None),))
    # NumPy's own reductions return scalars for 0-d arrays.
    if len(arrays) > 1 and issubclass(type(arrays[1]), np.floating):
        arrays = (arrays[0], np.asarray(arrays[1]), *arrays[2:])
    update(rule.name, rule.coefficients(t, *ordered), names, arrays)
