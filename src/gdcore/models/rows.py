"""Samples in rows that are mostly zeros: SciPy's sparse matrices, without SciPy unless somebody has brought one."""

import sys
from typing import Any

import numpy as np

from ..arguments import Array


def is_sparse(x: Any) -> bool:
    """Return whether ``x`` is a sparse matrix or array of SciPy's by rows (CSR)."""
    scipy = sys.modules.get("scipy.sparse")
    return scipy is not None and scipy.issparse(x) and x.format == "csr"


def product(x: Any, w: Array, out: Array) -> Array:
    """Write ``x @ w``, for a sparse or any other ``x``, to ``out``, and return it."""
    out[...] = x @ w
    return out


class ByNumber:
    """A network whose samples are told by their numbers in ``x``, (n, features) by rows: a batch takes its own."""

    def __init__(self, network: Any, x: Any) -> None:
        self.network = network
        self.x = x
        self.numbers = np.arange(x.shape[0])

    def value_and_grad(self, params: Any, numbers: Array, *others: Array) -> Any:
        """Return the loss of the samples and its gradients."""
        return self.network.value_and_grad(params, self.x[numbers], *others)

    def outputs(self, params: Any, numbers: Array) -> Any:
        """Return what the network gives for the samples."""
        return self.network.outputs(params, self.x[numbers])
