"""The compiled kernels for other compiled code: Cython, C, C++, Rust, numba, ctypes.

``cimport gdcore.kernels`` is for Cython, ``gdcore.h`` in :func:`get_include` for C, :func:`address` for the others.
docs/kernels.md says what a kernel takes, and has an example of each. A kernel checks nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from .engine import exported
from .rules import REQUIRED, RULES

__all__ = ["VERSION", "address", "coefficients", "get_include", "hyperparameters", "table"]

VERSION: Final = exported.VERSION
"""Of the structs behind ``table``: another one, where they are others."""

table: Final[Any] = exported.table
"""A capsule of the name ``gdcore.kernels.table`` around a ``gdcore_table`` of ``gdcore.h``."""

DTYPES: Final = (np.dtype(np.float32), np.dtype(np.float64))


def address(rule: str, dtype: Any) -> int:
    """Return where the kernel of a rule is, as a C function ``void (void **x, const T *c, Py_ssize_t n)``.

    ``T`` is float or double, as ``dtype`` is float32 or float64. It is the build of the kernel that is fastest on
    this CPU, and stays where it is while Python runs. Raises LookupError and TypeError.

    Arguments:
        rule: the name of a rule, such as ``"adam"``.
        dtype: float32 or float64.

    >>> import gdcore as gd
    >>> gd.kernels.address("adam", np.float32) != gd.kernels.address("adam", np.float64)
    True
    """
    return exported.address(rule, _checked(dtype).itemsize)


def coefficients(rule: str, dtype: Any, t: int = 1, **hyperparameters: Any) -> np.ndarray[Any, Any]:
    """Return what the kernel of a rule takes as ``c`` in step ``t``, an array of ``dtype``.

    Hyperparameters are those of the rule's optimizer, with its defaults. Raises as the optimizer does.

    Arguments:
        rule: the name of a rule.
        dtype: float32 or float64.
        t: the number of the step, an int >= 1.
        **hyperparameters: by name.

    >>> import gdcore as gd
    >>> gd.kernels.coefficients("sgd", np.float64, lr=0.5, weight_decay=0.5)
    array([0.75, 0.  , 0.5 ])
    """
    names = _hyperparameters(rule)
    for name in hyperparameters:
        if name not in names:
            raise TypeError(f"{name}: expected one of {', '.join(names)}, got another hyperparameter of {rule}")
    values = [hyperparameters.get(name, default) for name, default in names.items()]
    for name, value in zip(names, values, strict=True):
        if value is REQUIRED:
            raise TypeError(f"{name}: expected a value, as {rule} has no default, got none")
    if isinstance(t, bool) or not isinstance(t, int | np.integer) or t < 1:
        raise ValueError(f"t: expected an integer >= 1, got {t!r}")
    return np.array(RULES[rule].rounded(_checked(dtype), int(t), *values))


def hyperparameters(rule: str) -> Sequence[str]:
    """Return the names of a rule's hyperparameters in the order in which C gives them: a pair's name twice.

    Arguments:
        rule: the name of a rule. Raises LookupError for another.

    >>> import gdcore as gd
    >>> gd.kernels.hyperparameters("lion")
    ['lr', 'betas', 'betas', 'weight_decay', 'l2']
    """
    _hyperparameters(rule)
    return exported.layout(rule)


def get_include() -> str:
    """Return the folder of ``gdcore.h``, for a compiler's include path.

    >>> import gdcore as gd
    >>> gd.kernels.get_include()  # doctest: +ELLIPSIS
    '...include'
    """
    return str(Path(__file__).with_name("include"))


def _hyperparameters(rule: str) -> Any:
    if rule not in RULES:
        raise LookupError(f"rule: expected one of {', '.join(RULES)}, got {rule!r}")
    return RULES[rule].hyperparameters


def _checked(dtype: Any) -> np.dtype[Any]:
    found: np.dtype[Any] = np.dtype(dtype)
    if found not in DTYPES:
        raise TypeError(f"dtype: expected float32 or float64, got {found}")
    return found
