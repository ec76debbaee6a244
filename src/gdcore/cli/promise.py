"""The promise of the same bits everywhere, as a hash of what each rule's steps leave.

``promise.json`` has the hashes that were promised: of each rule in each dtype, with all its options, and of the
functions of nets. A new rule, and a change that is meant to change bits, renews it::

    python -m gdcore.cli.promise > src/gdcore/cli/promise.json

Numbers are made of integers, so that they are the same wherever it runs.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np

from .. import derivatives, optimizers, updates
from ..arguments import BFLOAT16
from ..halves import HALF_DTYPES
from ..reference import narrow
from ..rules import RULES, Rule

Array = np.ndarray[Any, Any]

STEPS: Final = 25

DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
    **HALF_DTYPES,
}

DIGITS: Final = {2: 8, 4: 24, 8: 53}
"""By the size of a number: how many binary digits the numbers here have, all of which it holds."""

SHAPES: Final = ((1,), (1003,), (31, 7))


def cross_entropy(x: Any) -> Any:
    """Return the loss for a class a row."""
    return derivatives.softmax_cross_entropy(x, np.arange(len(x)) % x.shape[1])


def cross_entropy_of_parts(x: Any) -> Any:
    """Return the loss for two classes of each row in equal parts."""
    parts = np.zeros(x.shape, x.dtype)
    parts[:, :2] = 0.5
    return derivatives.softmax_cross_entropy(x, parts)


NETS: Final[tuple[Callable[[Any], Any], ...]] = (
    *(derivatives.relu, derivatives.tanh, derivatives.sigmoid, derivatives.softplus, derivatives.gelu),
    *(derivatives.silu, derivatives.softmax, derivatives.log_softmax, derivatives.logsumexp),
    *(derivatives.layer_norm, cross_entropy, cross_entropy_of_parts),
)


def promised() -> dict[str, str]:
    """Return the hashes that every machine has to give."""
    known: dict[str, str] = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
    return known


def hashes() -> dict[str, str]:
    """Return the hashes that this machine gives."""
    found = {
        f"{rule.name} {name}": _hash(_stepped(rule, dtype))
        for rule in RULES.values()
        for name, dtype in DTYPES.items()
        if rule.has_gradient or dtype.itemsize > 2  # others have no master in half precision
    }
    for function in NETS:
        for name in ("float32", "float64"):
            found[f"{function.__name__} {name}"] = _hash(_gone_through(function, DTYPES[name]))
    return found


def broken() -> list[str]:
    """Return the names of the hashes that this machine gives otherwise than promised."""
    known, found = promised(), hashes()
    return [name for name in {**known, **found} if known.get(name) != found.get(name)]


def _stepped(rule: Rule, dtype: Any) -> Iterator[Array]:
    """Yield what steps of a rule leave, with its options in all combinations, and once through all stages."""
    values = {"lr": 0.01, "weight_decay": 0.1, "l2": 0.1}
    values = {name: value for name, value in values.items() if name in rule.hyperparameters}
    if not rule.has_gradient:
        for param in _arrays(dtype, 0):
            for _ in range(STEPS):
                getattr(updates, rule.name)(param, **values)
            yield param
        return
    kinds = {kind.rule.name: kind for kind in map(partial(getattr, optimizers), optimizers.__all__)}
    grads = [_arrays(dtype, 1 + t) for t in range(STEPS)]
    for chosen in product((False, True), repeat=len(rule.options)):
        options = {name: value for (name, value), yes in zip(rule.options.items(), chosen, strict=True) if yes}
        stages = [({}, {}), ({"average": 0.9}, {"scale": 0.5, "max_norm": 4.0})]
        for kept, stage in stages if all(chosen) else stages[:1]:
            params = _arrays(dtype, 0)
            opt = kinds[rule.name](params, **values, **options, **kept, master=dtype.itemsize == 2)
            for grad in grads:
                opt.step(grad, **stage)
            yield from params
            for slots in opt.state.values():
                yield from slots.values()


def _gone_through(function: Callable[[Any], Any], dtype: Any) -> Iterator[Array]:
    """Yield what a function of nets gives, and the gradient that comes back."""
    x = 8 * _numbers((37, 19), dtype, 0)
    value, pull = derivatives.vjp(function)(x)
    yield np.asarray(value)
    yield pull(_numbers(value.shape, dtype, 1))


def _hash(arrays: Iterable[Array]) -> str:
    seen = hashlib.sha256()
    for array in arrays:
        seen.update(array.view(f"u{array.itemsize}").astype(f"<u{array.itemsize}").tobytes())
    return seen.hexdigest()[:16]


def _arrays(dtype: Any, seed: int) -> list[Array]:
    """Return arrays of ``SHAPES``, the last with strides; some numbers are 0, and the squares of some subnormal."""
    arrays = [_numbers(shape, dtype, 16 * seed + i) for i, shape in enumerate(SHAPES)]
    if dtype.itemsize > 2:
        arrays[1][::7] *= 0
        arrays[1][1::5] *= 2.0**-68
    arrays[-1] = arrays[-1].T
    return arrays


def _numbers(shape: tuple[int, ...], dtype: Any, seed: int) -> Array:
    """Return numbers in (-1, 1) of several orders of magnitude, each of which the dtype holds as it is."""
    digits = DIGITS[dtype.itemsize]
    bits = np.arange(1, 1 + int(np.prod(shape)), dtype=np.uint64) + np.uint64(seed << 32)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):  # splitmix64, its end
        bits = (bits ^ bits >> np.uint64(shift)) * np.uint64(factor)
    whole = (bits >> np.uint64(64 - digits)).astype(np.int64) - (1 << digits - 1)
    divisor = (1 << digits - 1) * (1 << (bits & np.uint64(7)).astype(np.int64))
    numbers = (whole / divisor).reshape(shape)
    return narrow(numbers.astype(np.float32)) if dtype == BFLOAT16 else numbers.astype(dtype)


if __name__ == "__main__":
    print(json.dumps(hashes(), indent=4))
