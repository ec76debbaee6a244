"""The update rules in plain NumPy: the executable specification of the compiled ones.

Each function has a namesake in :mod:`gdcore.updates`, which is made from its signature and leaves the same bits
behind, in float32 and in float64. Read here what a rule does; call :mod:`gdcore.updates` to have it done fast.
Hyperparameters are checked alike, arrays are not.

With ``rows`` these rows along axis 0 alone are stepped, and ``grad`` is of them: ``_by_rows`` has it for all rules.

Slots hold no subnormal numbers: what is smaller than the smallest normal number of the dtype becomes 0.
"""

import math
from collections.abc import Callable, Sequence
from functools import wraps
from inspect import signature
from typing import Any, Literal, ParamSpec, TypeVar

import numpy as np

from .arguments import Array, as_complex, as_pairs, is_array, is_complex
from .halves import narrow as narrow  # noqa: PLC0414
from .halves import recall as recall  # noqa: PLC0414
from .halves import widen as widen  # noqa: PLC0414
from .powers import factors
from .rules import ADAGRAD, ADAM, DECAY, LION, MOMENTUM, NADAM, RMSPROP, SGD, check_slot

P = ParamSpec("P")
T = TypeVar("T")


def _ieee(function: Callable[P, T]) -> Callable[P, T]:
    """Let overflow and NaN pass in silence, as in compiled code, and take complex arrays as pairs of reals."""

    @wraps(function)
    def quiet(*args: P.args, **kwargs: P.kwargs) -> T:
        with np.errstate(all="ignore"):
            made: Any = function(*map(as_pairs, args), **{name: as_pairs(value) for name, value in kwargs.items()})
            whole: Any = as_complex(made) if is_array(made) and any(map(is_complex, args)) else made
        return whole  # type: ignore[no-any-return]

    return quiet


def _flushed(x: Array) -> Any:
    """Return ``x`` with subnormal numbers replaced by 0.

    A slot whose gradient is dead decays to them and stays there, and arithmetic on them is tens of times slower.
    """
    return np.where(np.abs(x) < np.finfo(x.dtype).tiny, x.dtype.type(0), x)


def _by_rows(rule: Callable[P, None]) -> Callable[P, None]:
    """Let a rule step the ``rows`` of its arrays alone, as if they were all: taken out, stepped and put back.

    ``grad`` is the gradient of each of the rows; those that are named more than once are summed in their order.
    """

    @wraps(rule)
    def stepped(*args: P.args, **kwargs: P.kwargs) -> None:
        rows: Any = kwargs.pop("rows", None)
        if rows is None:
            rule(*args, **kwargs)
            return
        rows = np.asarray(rows, np.intp)
        each, first = np.unique(rows, return_index=True)
        given = signature(rule).bind(*args, **kwargs).arguments
        whole = {name: x for name, x in given.items() if name != "grad" and isinstance(x, np.ndarray)}
        part: dict[str, Any] = {name: array[each] for name, array in whole.items()}
        if "grad" in given:
            again = np.delete(np.arange(len(rows)), first)
            part["grad"] = given["grad"][first]
            np.add.at(part["grad"], np.searchsorted(each, rows[again]), given["grad"][again])
        rule(**{**given, **part})  # type: ignore[call-arg]
        for name, array in whole.items():
            array[each] = part[name]

    return stepped


def _penalised(grad: Array, l2: Any, w: Array) -> Any:
    return grad + l2 * w if l2 != 0 else grad


def _denominator(variance: Any, eps: Any, eps_root: Any) -> Any:
    return np.sqrt(variance + eps_root if eps_root != 0 else variance) + eps


@_ieee
@_by_rows
def decay(param: Array, *, lr: float, weight_decay: float, rows: Array | None = None) -> None:
    """Decoupled weight decay alone: ``w = (1 - lr * weight_decay) * w``."""
    w = param
    (decay,) = DECAY.rounded(w.dtype, 1, lr, weight_decay)
    w[...] = decay * w


@_ieee
@_by_rows
def sgd(
    param: Array,
    grad: Array,
    *,
    lr: float,
    weight_decay: float = 0.0,
    l2: float = 0.0,
    rows: Array | None = None,
) -> None:
    """Gradient descent: ``w = w - lr * g``."""
    w = param
    decay, l2, lr = SGD.rounded(w.dtype, 1, lr, weight_decay, l2)
    g = _penalised(grad, l2, w)
    w[...] = decay * w - lr * g


@_ieee
@_by_rows
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
    rows: Array | None = None,
) -> None:
    """Momentum: ``v = beta * v + (1 - dampening) * g``, ``w = w - lr * v``."""
    w = param
    decay, l2, lr, beta, gain, _ = MOMENTUM.rounded(w.dtype, 1, lr, beta, dampening, nesterov, weight_decay, l2)
    g = _penalised(grad, l2, w)
    v[...] = _flushed(beta * v + gain * g)
    step = beta * v + gain * g if nesterov else v
    w[...] = decay * w - lr * step


@_ieee
@_by_rows
def rmsprop(
    param: Array,
    grad: Array,
    s: Array,
    *,
    lr: float = 1e-3,
    beta: float = 0.9,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    a: Array | None = None,
    momentum: float = 0.0,
    buf: Array | None = None,
    weight_decay: float = 0.0,
    l2: float = 0.0,
    rows: Array | None = None,
) -> None:
    """RMSProp: ``s = beta * s + (1 - beta) * g^2``, ``w = w - lr * g / (sqrt(s + eps_root) + eps)``.

    With the slot ``a`` it is centered; a ``momentum`` that is not 0 needs the slot ``buf``.
    """
    w = param
    decay, l2, lr, beta, gain, eps, eps_root, momentum = RMSPROP.rounded(
        w.dtype, 1, lr, beta, eps, eps_root, a is not None, momentum, weight_decay, l2
    )
    check_slot("buf", buf, "momentum", momentum)
    g = _penalised(grad, l2, w)
    s[...] = _flushed(beta * s + gain * (g * g))
    variance = s
    if a is not None:
        a[...] = _flushed(beta * a + gain * g)
        variance = np.maximum(s - a * a, 0)  # rounding can make it negative
    if buf is not None:
        buf[...] = _flushed(momentum * buf + g / _denominator(variance, eps, eps_root))
        w[...] = decay * w - lr * buf
    else:
        w[...] = decay * w - lr * g / _denominator(variance, eps, eps_root)


@_ieee
@_by_rows
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
    eps_root: float = 0.0,
    epsilon_hat: bool = False,
    vmax: Array | None = None,
    weight_decay: float = 0.0,
    l2: float = 0.0,
    rows: Array | None = None,
) -> None:
    """Adam: ``m = b1 * m + (1 - b1) * g``, ``v = b2 * v + (1 - b2) * g^2``, bias-corrected.

    ``w = w - lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t) + eps_root) + eps)``; ``t`` is 1 in the first step. With
    ``epsilon_hat`` the correction of ``v`` does not pass by eps:
    ``w = w - lr * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v + eps_root) + eps)``. With the slot ``vmax``, which
    keeps the largest ``v`` so far, it is amsgrad.
    """
    w = param  # the bias corrections of step t are in lr, eps and eps_root
    decay, l2, lr, beta1, gain1, beta2, gain2, eps, eps_root = ADAM.rounded(
        w.dtype, t, lr, betas, eps, eps_root, epsilon_hat, vmax is not None, weight_decay, l2
    )
    g = _penalised(grad, l2, w)
    m[...] = _flushed(beta1 * m + gain1 * g)
    v[...] = _flushed(beta2 * v + gain2 * (g * g))
    second = v
    if vmax is not None:
        vmax[...] = _flushed(np.maximum(vmax, v))
        second = vmax
    w[...] = decay * w - lr * m / _denominator(second, eps, eps_root)


@_ieee
@_by_rows
def adagrad(
    param: Array,
    grad: Array,
    s: Array,
    *,
    lr: float = 0.01,
    eps: float = 1e-10,
    eps_root: float = 0.0,
    weight_decay: float = 0.0,
    l2: float = 0.0,
    rows: Array | None = None,
) -> None:
    """Adagrad: ``s = s + g^2``, ``w = w - lr * g / (sqrt(s + eps_root) + eps)``."""
    w = param
    decay, l2, lr, eps, eps_root = ADAGRAD.rounded(w.dtype, 1, lr, eps, eps_root, weight_decay, l2)
    g = _penalised(grad, l2, w)
    s[...] = _flushed(s + g * g)
    w[...] = decay * w - lr * g / _denominator(s, eps, eps_root)


@_ieee
@_by_rows
def nadam(
    param: Array,
    grad: Array,
    m: Array,
    v: Array,
    *,
    t: int,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    eps_root: float = 0.0,
    momentum_decay: float = 4e-3,
    weight_decay: float = 0.0,
    l2: float = 0.0,
    rows: Array | None = None,
) -> None:
    """NAdam: ``m`` and ``v`` as for :func:`adam`, and a step that looks ahead, with a momentum that rises.

    ``mu_t = b1 * (1 - 0.96^(t * momentum_decay) / 2)``,
    ``step = mu_{t+1} / (1 - mu_1 ... mu_{t+1}) * m + (1 - mu_t) / (1 - mu_1 ... mu_t) * g``,
    ``w = w - lr * step / (sqrt(v / (1 - b2^t) + eps_root) + eps)``; ``t`` is 1 in the first step.
    """
    w = param  # what depends on step t is in lr, lr_g, eps and eps_root
    decay, l2, lr, lr_g, beta1, gain1, beta2, gain2, eps, eps_root = NADAM.rounded(
        w.dtype, t, lr, betas, eps, eps_root, momentum_decay, weight_decay, l2
    )
    g = _penalised(grad, l2, w)
    m[...] = _flushed(beta1 * m + gain1 * g)
    v[...] = _flushed(beta2 * v + gain2 * (g * g))
    w[...] = decay * w - (lr * m + lr_g * g) / _denominator(v, eps, eps_root)


@_ieee
@_by_rows
def lion(
    param: Array,
    grad: Array,
    m: Array,
    *,
    lr: float = 1e-4,
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
    l2: float = 0.0,
    rows: Array | None = None,
) -> None:
    """Lion: ``w = w - lr * sign(b1 * m + (1 - b1) * g)``, then ``m = b2 * m + (1 - b2) * g``; ``sign(0) = 0``."""
    w = param
    decay, l2, lr, beta1, gain1, beta2, gain2 = LION.rounded(w.dtype, 1, lr, betas, weight_decay, l2)
    g = _penalised(grad, l2, w)
    w[...] = decay * w - lr * np.sign(beta1 * m + gain1 * g)
    m[...] = _flushed(beta2 * m + gain2 * g)


# The stages of a step that are no rule: what ``opt.step`` does with its arguments ---------------------------------


@_ieee
def scale(grad: Array, factor: float, divisor: float = 1.0) -> Array:
    """Return ``factor / divisor * g``, the factor rounded once.

    Where it is below the normal numbers of the dtype, ``g`` is multiplied by both of its ``powers.factors``.
    """
    first, second = map(grad.dtype.type, factors(grad.dtype, factor, divisor))
    return np.asarray(first * grad if second == 1 else second * (first * grad))


@_ieee
def clip(grad: Array, limit: float) -> Array:
    """Return ``g`` brought into ``[-limit, limit]``; NaN stays."""
    limit = grad.dtype.type(min(limit, float(np.finfo(grad.dtype).max)))
    return np.asarray(np.where(grad < -limit, -limit, np.where(grad > limit, limit, grad)))


@_ieee
def average(param: Array, average: Array, gain: float) -> None:
    """Take the weights after a step into their average: ``a = a + gain * (w - a)``."""
    gain, a = average.dtype.type(gain), average
    a[...] = _flushed(a + gain * (param - a))


def zero(grad: Array) -> None:
    """Set ``g`` to 0."""
    grad[...] = 0


@_ieee
def norm(grads: Sequence[Array]) -> float:
    """Return the root of the sum of all squares, worked out in double.

    Each array is cut into parts of 65,536 elements in the order of its memory (Fortran order if it is contiguous
    in that order alone, else C order). Within a part sums are pairwise; the sums of parts are added in their order,
    and then those of arrays. Where squares are out of range, ``g`` is divided by its largest magnitude before.
    """
    grads = [as_pairs(grad) for grad in grads]
    squares = _sum_of_squares(grads, 1.0)
    if 1e-280 < squares < math.inf:
        return math.sqrt(squares)
    largest = max([float(np.max(np.abs(grad))) for grad in grads if grad.size], default=0.0)
    if largest == 0 or math.isinf(largest) or math.isnan(squares):
        return math.nan if math.isnan(squares) else largest
    return largest * math.sqrt(_sum_of_squares(grads, largest))


def _sum_of_squares(grads: Sequence[Array], divisor: float) -> float:
    total = 0.0
    for grad in grads:
        order: Literal["C", "F"] = "C" if grad.flags.c_contiguous or not grad.flags.f_contiguous else "F"
        squares = np.square(np.divide(grad.ravel(order), divisor, dtype=np.float64))
        parts = [_pairwise(squares[start : start + 65536]) for start in range(0, grad.size, 65536)]
        of_array = 0.0
        for part in parts:
            of_array += part
        total += of_array
    return total


def _pairwise(x: Array) -> float:
    """Return the sum in the order of ``np.add.reduce``: eight lanes in blocks of at most 128."""
    if x.size > 128:
        half = x.size // 2 - x.size // 2 % 8
        return _pairwise(x[:half]) + _pairwise(x[half:])
    whole = x.size - x.size % 8
    r = [0.0] * 8
    for row in x[:whole].reshape(-1, 8).tolist():
        r = [a + b for a, b in zip(r, row, strict=True)]
    total = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]))
    for value in x[whole:].tolist():
        total += value
    return float(total)
