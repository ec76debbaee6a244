"""Arrays of other libraries, as NumPy sees them without a copy: torch's tensors on the CPU, jax's arrays, DLPack's.

gdcore imports none of these libraries: where there is a tensor of torch, torch has been imported.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from .arguments import BFLOAT16, is_array

ON_CPU: Final = 1
"""DLPack's number of this kind of memory."""


def borrow_grads(grads: list[Any], labels: Sequence[str]) -> None:
    """Put NumPy arrays in the places of other libraries' among the gradients of a step, whose labels these are.

    jax reads the memory of NumPy's arrays when it comes to it, copies of them by ``jnp.array`` too: what it was
    given the parameters for has to be done before a step changes them. So all that jax is at work on is waited for.
    """
    jax: Any = sys.modules.get("jax")
    if jax is not None and any(isinstance(grad, getattr(jax, "Array", ())) for grad in grads):
        jax.block_until_ready(jax.live_arrays("cpu"))
    for i, label in enumerate(labels):
        if grads[i] is not None:
            grads[i] = borrowed(f"grads{label}", grads[i])


def borrowed(where: str, array: Any) -> Any:
    """Return the NumPy array that another library's array is in memory; what is no such array as it is.

    ``where`` names it in errors.

    Raises TypeError for one that is not in the memory of the CPU, or not laid out as NumPy's are.
    """
    if is_array(array):
        return array
    if issubclass(type(array), np.generic):  # NumPy's own reductions return these for 0-d arrays
        return np.asarray(array)
    if is_tensor(array):
        return _of_torch(where, array)
    return _of_others(where, array) if hasattr(type(array), "__dlpack_device__") else array


def is_tensor(array: object) -> bool:
    """Return whether something is a tensor of torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, getattr(torch, "Tensor", ()))


def check_leaf(where: str, array: Any) -> None:
    """Raise ValueError for a tensor that torch has worked out of others: stepping it would move none of them."""
    if is_tensor(array) and array.requires_grad and not array.is_leaf:
        raise ValueError(f"{where}: expected a leaf of torch's graph, got the result of an operation; detach() it")


def note_written(arrays: Iterable[Any]) -> None:
    """Tell torch that those of ``arrays`` which are tensors were changed in place."""
    tensors = [array for array in arrays if is_tensor(array)]
    if tensors:
        sys.modules["torch"].autograd.graph.increment_version(tensors)


def _of_torch(where: str, tensor: Any) -> Any:
    torch: Any = sys.modules["torch"]
    if tensor.layout != torch.strided:
        raise TypeError(f"{where}: expected a strided tensor, got one of {tensor.layout}; pass its .to_dense()")
    if tensor.device.type != "cpu":
        raise TypeError(f"{where}: expected a tensor on the CPU, got one on {tensor.device}; move it with .cpu()")
    brain = tensor.dtype == torch.bfloat16  # which NumPy does not know
    try:
        plain = tensor.detach()
        array = (plain.view(torch.int16) if brain else plain).numpy()
    except (RuntimeError, TypeError) as error:
        raise TypeError(
            f"{where}: expected a tensor that NumPy can read in place, got {type(tensor).__name__} of "
            f"{tensor.dtype}: {error}"
        ) from error
    return array.view(BFLOAT16) if brain else array


def _of_others(where: str, array: Any) -> Any:
    said = f"{where}: expected an array that NumPy can read in place, got {type(array).__name__}"
    try:
        device, _ = array.__dlpack_device__()
        # jax's bfloat16 goes by __array__ alone, which waits for the values and copies nothing.
        found = np.asarray(array) if hasattr(type(array), "__array__") else np.from_dlpack(array)
    except Exception as error:
        raise TypeError(f"{said}: {error}") from error
    if device != ON_CPU:
        raise TypeError(f"{said} on another device; np.asarray copies it to the CPU")
    return found
