"""Complex parameters, which are stepped as pairs of reals: the one place where they become such."""

from typing import Any

from .arguments import Array, as_complex, as_pairs, is_complex
from .engine import check_like, check_same_memory
from .rows import Rows
from .tensors import borrowed
from .trees import Structure, flatten, rebuild


class Pairs:
    """The parameters of an optimizer, with views of pairs in place of the complex ones.

    ``tree`` and ``leaves`` are those that are stepped; ``given`` is the tree of the user's own arrays.
    """

    def __init__(self, structure: Structure, given: Any, leaves: list[Any]) -> None:
        self.structure, self.given, self.own = structure, given, leaves
        self.leaves = [as_pairs(leaf) for leaf in leaves]
        self.any = any(map(is_complex, leaves))
        self.tree = rebuild(given, iter(self.leaves)) if self.any else given

    def of(self, grads: Any) -> Any:
        """Return a tree of gradients in pairs, as the parameters are.

        Raises TypeError or ValueError for a gradient of a complex parameter that is none, and for such a parameter
        that another array has replaced.
        """
        now = flatten(self.given)
        found = self.structure.leaves(grads, "grads")
        labels = self.structure.labels
        if len(now) == len(self.own):
            for label, own, leaf in zip(labels, self.own, now, strict=True):
                if leaf is not own:
                    check_same_memory(label, own, leaf)
        paired = [
            _paired(f"grads{label}", grad, own) if is_complex(own) else grad
            for label, grad, own in zip(labels, found, self.own, strict=True)
        ]
        return rebuild(self.tree, iter(paired))

    def back(self, arrays: list[Array]) -> list[Any]:
        """Return copies of arrays like the leaves, those of pairs as complex numbers."""
        return [
            as_complex(array) if is_complex(own) else array.copy()
            for own, array in zip(self.own, arrays, strict=True)
        ]


def _paired(where: str, grad: Any, param: Array) -> Any:
    if grad is None:
        return None
    if isinstance(grad, Rows):
        if grad.values.dtype != param.dtype:
            raise TypeError(f"{where}: expected Rows of {param.dtype}, got {grad!r}")
        return Rows(grad.index, as_pairs(grad.values), grad.length)
    grad = borrowed(where, grad)
    check_like(where, grad, param)
    return as_pairs(grad)
