"""What NumPy and SciPy ask of a traced value when they would make an array of it, and what they get."""

import sys
from typing import Any

import numpy as np

from ..arguments import describe
from .callers import is_printing, refuse_scipys_own, refuse_sparse
from .refusals import JOIN, refuse_conversion


def array_of_elements(x: Any, plain: Any, dtype: Any) -> Any:
    """Return the array of objects of the elements of ``x``, a traced value of ``plain``, each of them traced.

    Of whole numbers and truth values it is a plain one: they are constants, as ``np.floor`` and ``x > 0`` are.
    Raises TypeError for any other dtype that could not hold traced values.
    """
    if dtype is not None and np.dtype(dtype).kind in "iub":
        return np.asarray(plain).astype(dtype)
    product = asks_for_product(sys._getframe(1))
    if not product:
        refuse_sparse(sys._getframe(1))
        refuse_scipys_own(sys._getframe(1))
    if dtype is not None and np.dtype(dtype).char != "O":
        raise TypeError(
            f"traced value: expected to stay traced, as its gradient would be lost, got converted from "
            f"{describe(plain)} to a plain array of {np.dtype(dtype)}, or written into one; {JOIN}, "
            f"and gd.stop_gradient(x) makes them plain"
        )
    whole = np.empty(() if product else x.shape, object)
    for at in np.ndindex(whole.shape):
        whole[at] = x[at] if at else x
    return whole


def attribute_of(plain: Any, name: str) -> Any:
    """Return what an array says of its memory; raise AttributeError for what traced values lack."""
    if name in {"flags", "itemsize", "nbytes", "strides"}:
        return getattr(plain, name)
    raise AttributeError(f"traced value: expected an attribute of ndarray that has a gate, got {name!r}")


def printed(kind: type, plain: Any) -> Any:
    """Return the number that ``"%.3f" % x`` prints; raise TypeError for any other use of one."""
    return kind(plain) if is_printing(sys._getframe(1)) else refuse_conversion(plain)


def asks_for_product(frame: Any) -> bool:
    """Return whether it is SciPy's ``X @ w`` that asks: of what is no array, it leaves the product to ``w``."""
    module = str(frame.f_globals.get("__name__", ""))
    return bool(frame.f_code.co_name == "_matmul_dispatch") and module.startswith("scipy.sparse")


def in_mean_of_list(x: Any) -> bool:
    """Return whether ``np.mean`` of a list asks its sum for a dtype, to make such a number of it; it need not."""
    frame = sys._getframe(1)
    return frame.f_globals.get("__name__") == "numpy._core._methods" and frame.f_locals.get("ret") is x
