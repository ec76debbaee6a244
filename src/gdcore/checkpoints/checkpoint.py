"""Checkpoints: all that a run needs to go on, in one file."""

import operator
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..arguments import checked_int, describe, is_array
from ..files import check_destination
from ..halves import matched
from ..stepping import Optimizer
from ..trees import Structure
from . import formats as containers
from .container import CheckpointError
from .generators import generator_of, state_of
from .values import decode, encode

__all__ = ["Checkpoint", "CheckpointError", "check_path", "load", "save"]

Array = np.ndarray[Any, Any]
Action = Callable[[], object]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What is in a checkpoint; what was not saved is None.

    Attributes:
        params: the tree of the parameters, of dicts, lists, tuples and C-contiguous arrays.
        optimizer: the state dict of the optimizer.
        rng: a generator that goes on from the state saved.
        epoch: an int >= 0.
        metadata: what it was.

    >>> import tempfile, numpy as np, gdcore as gd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gd.save(f"{folder}/run.npz", np.ones(2), epoch=3)
    ...     gd.load(f"{folder}/run.npz").epoch
    3
    """

    params: Any
    optimizer: dict[str, Any] | None
    rng: np.random.Generator | None
    epoch: int | None
    metadata: Any


def save(
    path: str | Path,
    params: Any,
    optimizer: Any = None,
    *,
    rng: np.random.Generator | None = None,
    epoch: int | None = None,
    metadata: Any = None,
) -> None:
    """Write all that a run needs to go on to one file, whole or not at all.

    Arguments:
        path: a file named ``*.npz`` or ``*.safetensors``. A file that is there is replaced once the new one is on
            disk.
        params: an array, or nested dicts, lists and tuples of arrays; keys are text or integers.
        optimizer: an optimizer that steps these very arrays or some of them, or, for others, its ``state_dict()``.
        rng: a generator whose bits come from one of NumPy's own. The children it may ``spawn`` are not part of it.
        epoch: an int >= 0.
        metadata: None, bools, integers, floats, text, NumPy scalars and arrays, alone or in nested dicts, lists and
            tuples.

    Arrays are of bool, integers, float16, bfloat16, float32 or float64; in a ``.npz`` also of complex numbers, of
    text (dtype ``U``), and of either byte order. They are stored in C order. A named tuple is stored as a tuple, a
    subclass of dict or list as a dict or list. Nothing is pickled.

    Raises TypeError or ValueError, before anything is written, for anything else, for two arrays of one name, their
    keys joined by dots, and for more than 100 levels; OSError where the file cannot be written. The old file
    is then as it was.

    Returns None, once the file is on disk.

    >>> import tempfile, numpy as np, gdcore as gd
    >>> params = {"w": np.ones(3)}
    >>> opt = gd.Adam(params, lr=0.5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gd.save(f"{folder}/run.npz", params, opt, epoch=7, metadata={"data": "houses.csv"})
    ...     opt.step({"w": np.ones(3)})
    ...     checkpoint = gd.load(f"{folder}/run.npz", params, opt)
    >>> params["w"], opt.t, checkpoint.epoch
    (array([1., 1., 1.]), 0, 7)
    """
    arrays: dict[str, Array] = {}
    content = {
        "params": encode(params, "params", arrays),
        "optimizer": encode(_state_dict(optimizer), "optimizer", arrays),
        "rng": encode(None if rng is None else state_of(rng), "rng", arrays),
        "epoch": None if epoch is None else checked_int("epoch", epoch, 0),
        "metadata": encode(metadata, "metadata", arrays),
    }
    _check_leaves(params)
    _check_stepped(optimizer, params)
    containers.write(path, content, arrays)


def load(
    path: str | Path, params: Any = None, optimizer: Any = None, rng: np.random.Generator | None = None
) -> Checkpoint:
    """Read what :func:`save` wrote, and set parameters, optimizer and generator to what they were, all or none.

    Arguments:
        path: a file named ``*.npz`` or ``*.safetensors``.
        params: a tree of arrays of the same keys, shapes and dtypes as saved, which are overwritten in place.
        optimizer: an optimizer of the same rule, for such parameters; it takes the state saved. With
            ``params``, one that steps these very arrays or some of them.
        rng: a generator with bits of the same kind; it takes the state saved.

    Returns all that is in the file, in arrays of its own; bfloat16 is marked as by :func:`gdcore.bfloat16`.

    Raises OSError for a file that cannot be read; :class:`CheckpointError`, a ValueError, for one that is no
    checkpoint, is damaged, or lies about its contents; TypeError or ValueError for one that does not fit what it is
    read into. All of that is then as it was. Nothing in the file is run, and arrays are made only once their sizes
    are known to be those of the file.

    >>> import tempfile, numpy as np, gdcore as gd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gd.save(f"{folder}/run.npz", [np.zeros(2)], rng=np.random.default_rng(0), metadata={"loss": np.inf})
    ...     checkpoint = gd.load(f"{folder}/run.npz")
    >>> checkpoint.params, checkpoint.metadata, checkpoint.rng.integers(100)
    ([array([0., 0.])], {'loss': inf}, np.int64(85))
    """
    checkpoint = read(path)
    restore(checkpoint, path, params, optimizer, rng)
    return checkpoint


def read(path: str | Path, mapped: Callable[[str], bool] = lambda _: False) -> Checkpoint:
    """Return what is in a file; arrays for whose name ``mapped`` is true stay there until they are used."""
    with containers.reading(path, mapped) as (content, arrays):
        return _checkpoint(content, arrays)


def restore(
    checkpoint: Checkpoint, path: str | Path, params: Any, optimizer: Any, rng: np.random.Generator | None
) -> None:
    """Set parameters, optimizer and generator to what they were, all or none; ``path`` is what errors name."""
    # Validated first, all of them; then no Python code runs, so that no interrupt comes between two of the actions.
    actions = [
        *_restoring_optimizer(optimizer, checkpoint.optimizer, path),
        *_restoring_rng(rng, checkpoint.rng, path),
        *_restoring_params(params, checkpoint.params, path),
    ]
    if params is not None:
        _check_stepped(optimizer, params)
    deque(map(operator.call, actions), maxlen=0)


def check_path(path: str | Path, called: str = "path") -> None:
    """Raise ValueError for a name that :func:`save` does not know, OSError for a place where it cannot write.

    The ValueError is of what is ``called`` so.
    """
    containers.container_of(path, called)
    check_destination(path)


def _state_dict(optimizer: Any) -> Any:
    if optimizer is None or isinstance(optimizer, Mapping):
        return optimizer
    if not callable(getattr(optimizer, "state_dict", None)):
        raise TypeError(f"optimizer: expected an optimizer or its state dict, got {type(optimizer).__name__}")
    if getattr(getattr(optimizer, "comm", None), "size", 1) > 1:
        # Its state dict would wait for all ranks, and each would write the file.
        raise TypeError(
            f"optimizer: expected one of a single process, got {type(optimizer).__name__} over several ranks; use "
            f"gd.distributed.save, on all of them"
        )
    return optimizer.state_dict()


def _check_stepped(optimizer: Any, params: Any) -> None:
    if callable(getattr(optimizer, "check_params", None)):
        optimizer.check_params(params)


def _check_leaves(params: Any) -> None:
    structure = Structure(params, "params")
    for label, leaf in zip(structure.labels, structure.leaves(params, "params"), strict=True):
        if not is_array(leaf):
            raise TypeError(f"params{label}: expected a NumPy array, got {type(leaf).__name__}")


def _checkpoint(content: Any, arrays: dict[str, Array]) -> Checkpoint:
    sections = {name: decode(value, arrays) for name, value in content.items()}
    if sections["epoch"] is not None:
        checked_int("epoch", sections["epoch"], 0)
    if sections["rng"] is not None:
        sections["rng"] = generator_of(sections["rng"])
    if not isinstance(sections["optimizer"], dict | None):
        raise CheckpointError("expected a dict as the state of the optimizer, got another value")
    if arrays:
        raise CheckpointError(f"expected no array beside those of the checkpoint, got {next(iter(arrays))!r}")
    _check_leaves(sections["params"])
    return Checkpoint(**sections)


def _restoring_params(params: Any, saved: Any, path: str | Path) -> list[Action]:
    if params is None:
        return []
    structure = Structure(params, "params")
    targets, sources = structure.leaves(params, "params"), structure.leaves(saved, f"{path}: params")
    actions: list[Action] = []
    for label, target, saved_leaf in zip(structure.labels, targets, sources, strict=True):
        if not is_array(target) or isinstance(target, np.ma.MaskedArray):
            raise TypeError(f"params{label}: expected a NumPy array without a mask, got {type(target).__name__}")
        source = matched(saved_leaf, target.dtype) if is_array(saved_leaf) else saved_leaf
        if not is_array(source) or (target.dtype, target.shape) != (source.dtype, source.shape):
            raise ValueError(
                f"params{label}: expected {describe(target)} as in the parameters, got {describe(source)} in {path}"
            )
        if not target.flags.writeable:
            raise ValueError(f"params{label}: expected a writeable array, got a read-only one")
        actions.append(partial(operator.setitem, target, ..., source))
    return actions


def _restoring_optimizer(optimizer: Any, saved: dict[str, Any] | None, path: str | Path) -> list[Action]:
    if optimizer is None:
        return []
    if saved is None:
        raise ValueError(f"optimizer: expected its state in {path}, got none")
    if isinstance(optimizer, Optimizer):
        return [optimizer.prepare_load(saved)]
    if not callable(getattr(optimizer, "load_state_dict", None)):
        raise TypeError(f"optimizer: expected an optimizer, got {type(optimizer).__name__}")
    return [partial(optimizer.load_state_dict, saved)]


def _restoring_rng(rng: Any, saved: np.random.Generator | None, path: str | Path) -> list[Action]:
    if rng is None:
        return []
    if saved is None:
        raise ValueError(f"rng: expected its state in {path}, got none")
    ours, theirs = state_of(rng), state_of(saved)
    if ours["bit_generator"] != theirs["bit_generator"]:
        raise ValueError(
            f"rng: expected {ours['bit_generator']} as in the generator, got {theirs['bit_generator']} in {path}"
        )
    return [partial(setattr, rng.bit_generator, "state", theirs)]
