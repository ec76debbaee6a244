"""Samples in rows that are mostly zeros: SciPy's sparse matrices, without SciPy unless somebody has brought one."""

import sys
from typing import Any

from ..arguments import Array


def is_sparse(x: Any) -> bool:
    """Return whether ``x`` is a sparse matrix or array of SciPy's by rows (CSR)."""
    scipy = sys.modules.get("scipy.sparse")
    return scipy is not None and scipy.issparse(x) and x.format == "csr"


def product(x: Any, w: Array, out: Array) -> Array:
    """Write ``x @ w``, for a sparse or any other ``x``, to ``out``, and return it."""
    out[...] = x @ w
    return out
