"""The gradient of a dense network by hand: products, and the compiled loops between them, in memory that is reused.

The memory of a step serves the next one of as many samples. Gradients are the caller's: the arrays that were
returned are written to again only when nothing holds them any more, neither by name nor as a view.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from ..arguments import Array
from ..derivatives import activate, activate_back, alone
from .rows import product
from .tasks import TASKS

Params = tuple[list[Array], list[Array]]
"""The weights of all layers, and their biases."""

dot = np.dot  # the same products as np.matmul, without its questions about stacks

SIZES: Final = 2
"""Numbers of samples that memory is kept for: that of a batch, and that of the last, shorter one."""

SETS: Final = 2
"""Sets of gradients that are kept: while one is computed, the caller mostly still holds the one before."""


class Memory:
    """What a step on ``n`` samples writes to."""

    def __init__(self, sizes: Sequence[int], n: int, dtype: np.dtype[Any]) -> None:
        self.shapes = [*pairwise(sizes), *((size,) for size in sizes[1:])]
        self.dtype = dtype
        self.sums = [np.empty((n, size), dtype) for size in sizes[1:]]
        self.turned = [z.T for z in self.sums[:-1]]
        self.slopes = [np.empty((n, size), dtype) for size in sizes[1:-1]]
        self.room = np.empty((n, sizes[-1]), dtype)
        self.sets: list[list[Array]] = []

    def gradients(self) -> list[Array]:
        """Return arrays for the gradients that nobody holds."""
        for arrays in self.sets:
            if alone(arrays):
                return arrays
        arrays = [np.empty(shape, self.dtype) for shape in self.shapes]
        self.sets = [arrays, *self.sets[: SETS - 1]]
        return arrays


class Backprop:
    """Backpropagation through the layers of a network; the memory of each step is used by one thread at a time."""

    def __init__(self, sizes: Sequence[int], activation: str, task: str, dtype: np.dtype[Any]) -> None:
        self.sizes = sizes
        self.activation = activation
        self.task = task
        self.dtype = dtype
        self.kept: dict[int, list[Memory]] = {}

    def __reduce__(self) -> Any:
        return Backprop, (self.sizes, self.activation, self.task, self.dtype)  # memory is nobody else's

    def __call__(self, params: Any, x: Any, y: Array, w: Array | None = None) -> tuple[float, Params]:
        """Return the loss and the gradients by ``params``; ``x`` may be sparse, ``w`` are the samples' weights."""
        n = len(y)
        try:
            memory = self.kept[n].pop()
        except LookupError:
            memory = Memory(self.sizes, n, self.dtype)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            weights, biases = params
            try:
                result = self.step(memory, weights, biases, x, y, w)
            except TypeError:  # seldom: biases whose elements lie apart, or of another dtype
                biases = [np.ascontiguousarray(b, self.dtype) for b in biases]
                result = self.step(memory, weights, biases, x, y, w)
        if n not in self.kept and len(self.kept) == SIZES:
            self.kept.clear()
        self.kept.setdefault(n, []).append(memory)
        return result

    def step(
        self, memory: Memory, weights: Any, biases: Any, x: Any, y: Array, w: Array | None
    ) -> tuple[float, Params]:
        """Do it, in this memory."""
        sums, slopes, kind = memory.sums, memory.slopes, self.activation
        last = len(sums) - 1
        grads = memory.gradients()
        dw, db = grads[: last + 1], grads[last + 1 :]
        task = TASKS[self.task]
        first = multiply = dot if isinstance(x, np.ndarray) else product
        h = x
        for i in range(last):
            multiply(h, weights[i], sums[i])
            h, multiply = sums[i], dot
            activate(kind, h, biases[i], h)
        d = multiply(h, weights[last], sums[last])
        if w is None:
            value = task.slope(d, biases[last], y, db[last], memory.room)
        else:
            value = task.weighted_slope(d, biases[last], y, db[last], memory.room, w)
        for i in range(last, 0, -1):
            dot(memory.turned[i - 1], d, dw[i])
            d = dot(d, weights[i].T, slopes[i - 1])
            activate_back(kind, d, sums[i - 1], d, db[i - 1])
        first(x.T, d, dw[0])
        return value, (dw, db)
