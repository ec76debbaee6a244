"""Gradients by rows: of leaves in which a function only looks rows up, such as the table of an embedding.

A look-up is taken for an input of its own: it goes off the tape before the walk back, so that the gradient stays
with it, and the gradient of the whole leaf is never made.
"""

from collections.abc import Iterator
from typing import Any, Final, NoReturn

import numpy as np

from ..arguments import describe
from ..rows import Rows
from ..trees import Structure
from ._tape import Node, Tape
from ._traced import Traced, real

BY_ROWS: Final = "rows"
"""What stands for the gate of a leaf whose gradient is one by rows."""


def checked_names(rows: Any) -> tuple[str, ...]:
    """Return the names of the leaves whose gradients are to be by rows. Raises TypeError for anything else."""
    if not isinstance(rows, tuple | list) or not all(isinstance(name, str) for name in rows):
        raise TypeError(f"rows: expected a tuple of names of leaves, such as ('E',), got {rows!r}")
    return tuple(rows)


def is_by_rows(table: Any) -> bool:
    """Return whether a traced value is a leaf whose gradient is by rows."""
    while type(table) is Traced:
        if table.node.gate is BY_ROWS:
            return True
        table = table.value
    return False


class LookUps:
    """The leaves of one derivative whose gradients are by rows; they take the places of theirs in ``inputs``.

    Raises ValueError for a name that no leaf has, and TypeError for a leaf that has no rows or is traced.
    """

    def __init__(self, tape: Tape, params: Any, inputs: list[Traced], rows: tuple[str, ...]) -> None:
        structure = Structure(params, "params")
        for name in rows:
            if name not in structure.names:
                known = ", ".join(map(repr, structure.names))
                raise ValueError(f"rows: expected names of leaves, of {known}, got {name!r}")
        self._tape, self._inputs = tape, inputs
        self._labels = {i: structure.labels[i] for i, name in enumerate(structure.names) if name in rows}
        self._found: dict[int, list[tuple[Any, Node]]] = {i: [] for i in self._labels}
        for i, label in self._labels.items():
            value = inputs[i].value
            if type(value) is Traced:
                raise TypeError(
                    f"params{label}: expected an array, as gradients by rows cannot be differentiated again, got a "
                    f"traced one; leave it out of rows"
                )
            if not value.ndim:
                raise TypeError(
                    f"params{label}: expected an array that has rows, as rows says, got {describe(value)}"
                )
            inputs[i] = Traced(value, tape, Node(BY_ROWS, ()))

    @property
    def others(self) -> list[Traced]:
        """The other inputs."""
        return [x for i, x in enumerate(self._inputs) if i not in self._labels]

    def take_off(self) -> None:
        """Take the look-ups off the tape. Raises TypeError where a gate uses a leaf otherwise."""
        leaves = {self._inputs[i].node: i for i in self._labels}
        kept = []
        for node in self._tape.nodes:
            a, b, at = node.operands
            if a in leaves and at is not None:
                i = leaves[a]
                self._found[i].append((self._rows_at(i, at), node))
                node.let_go()
                continue
            for used in (a, b, *(parent for parent, _ in node.links or ())):
                if used in leaves:
                    self._refuse(leaves[used], node.gate.name)
            kept.append(node)
        self._tape.nodes[:] = kept

    def grads(self, others: list[Any]) -> list[Any]:
        """Return the gradients of all leaves, once that of each look-up is there, and those of the others."""
        rest: Iterator[Any] = iter(others)
        return [self._gathered(i) if i in self._labels else next(rest) for i in range(len(self._inputs))]

    def _gathered(self, i: int) -> Rows:
        x = self._inputs[i]
        found = self._found[i]
        index = np.concatenate([np.zeros(0, np.intp), *(at for at, _ in found)])
        values = np.zeros((len(index), *x.shape[1:]), x.dtype)
        start = 0
        for at, node in found:
            g = node.grad
            if type(g) is Traced:
                raise TypeError(
                    f"params{self._labels[i]}: expected a gradient by rows that is not differentiated again, got a "
                    f"traced one; leave it out of rows"
                )
            part = values[start : start + len(at)]
            start += len(at)
            if g is not None:
                part[...] = np.reshape(g, part.shape)
        return Rows(index, values, len(x))

    def _rows_at(self, i: int, at: tuple[Any, ...]) -> Any:
        """Return which rows an index looks up, from 0 on and one after the other."""
        first, *others = at if at else (...,)
        rows = np.asarray(first)
        if rows.dtype.kind not in "iu" or any(other is not ... and other != slice(None) for other in others):
            said = ", ".join(describe(part) if isinstance(part, np.ndarray) else repr(part) for part in at)
            self._refuse(i, f"indexing with {said}")
        rows = np.array(rows, np.intp).reshape(-1)
        rows[rows < 0] += len(self._inputs[i])
        return rows

    def _refuse(self, i: int, used: str) -> NoReturn:
        got = describe(real(self._inputs[i]))
        raise TypeError(
            f"params{self._labels[i]}: expected only look-ups of rows, E[index] with integers, "
            f"np.take(E, index, axis=0) or gd.embedding, as rows says, got {got} used by {used}"
        )
