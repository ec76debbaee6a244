"""Checkpoints of a job: one file, for any number of ranks or none, and no rank ever has all the state in memory."""

import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from .. import checkpoints
from ..arguments import Array
from ..checkpoints import Checkpoint, check_path
from .agreement import agree
from .interrupts import uninterrupted
from .launch import Comm, communicator
from .waiting import TIMEOUT


@runtime_checkable
class Sharded(Protocol):
    """An optimizer whose state is divided among ranks: what checkpoints need of it."""

    comm: Comm
    timeout: float | None

    @property
    def state_nbytes(self) -> int:
        """The bytes of the state of all ranks together."""

    def gathered_state_dict(self, make: Callable[[Array], Array | None]) -> dict[str, Any]:
        """Return the state dict with the state of all ranks in arrays that ``make(param)`` returns."""

    def check_params(self, params: Any) -> None:
        """Raise ValueError unless ``params`` hold the arrays that are stepped."""


def save(
    path: str | Path,
    params: Any,
    optimizer: Sharded,
    *,
    rng: np.random.Generator | None = None,
    epoch: int | None = None,
    metadata: Any = None,
) -> None:
    """Write the checkpoint of a job: that which :func:`gdcore.save` writes for the optimizer in one process.

    All ranks call it. Rank 0 writes; it has the state on disk beside ``path`` meanwhile, not in memory, so
    twice the room is needed.

    Arguments:
        path: as for :func:`gdcore.save`. Those of rank 0 count.
        params: as for :func:`gdcore.save`. Those of rank 0 count.
        optimizer: as for :func:`gdcore.save`. Those of rank 0 count.
        rng: as for :func:`gdcore.save`. Those of rank 0 count.
        epoch: as for :func:`gdcore.save`. Those of rank 0 count.
        metadata: as for :func:`gdcore.save`. Those of rank 0 count.

    Returns None. Raises as :func:`gdcore.save` does, on rank 0; RuntimeError on the others then.

    >>> import tempfile, numpy as np, gdcore as gd
    >>> w = np.ones(2)
    >>> opt = gd.distributed.ShardedOptimizer(gd.Adam, w)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gd.distributed.save(f"{folder}/run.npz", w, opt, epoch=3)
    ...     gd.distributed.load(f"{folder}/run.npz", w, opt).epoch
    3
    """
    _check_sharded(optimizer)
    writes = optimizer.comm.Get_rank() == 0
    with uninterrupted(), ExitStack() as stack:
        scratch: list[Scratch] = []

        def prepare() -> list[str]:
            if writes:
                check_path(path)
                optimizer.check_params(params)
                scratch.append(stack.enter_context(Scratch(Path(path).resolve().parent, optimizer.state_nbytes)))
            return []

        def write() -> list[str]:
            if writes:
                checkpoints.save(path, params, state, rng=rng, epoch=epoch, metadata=metadata)
            return []

        agree(optimizer.comm, prepare, "save", optimizer.timeout)
        state = optimizer.gathered_state_dict(scratch[0].like if writes else lambda _: None)
        agree(optimizer.comm, write, "the end of save", optimizer.timeout)


def load(
    path: str | Path,
    params: Any = None,
    optimizer: Sharded | None = None,
    rng: np.random.Generator | None = None,
    *,
    comm: Comm = None,
) -> Checkpoint:
    """Read a checkpoint on all ranks, as :func:`gdcore.load` does in one process.

    All ranks call it, and each reads the file; of the state, it keeps only its share. It does not matter how many
    ranks wrote the file, or whether it was one process without ranks.

    Arguments:
        path: as for :func:`gdcore.load`.
        params: as for :func:`gdcore.load`.
        optimizer: as for :func:`gdcore.load`.
        rng: as there.
        comm: the communicator of ``optimizer``, or, without one, by default ``MPI.COMM_WORLD``.

    The state in what is returned stays on disk, in arrays that cannot be written. Raises as :func:`gdcore.load`
    does, and RuntimeError on the other ranks then.

    >>> import tempfile, numpy as np, gdcore as gd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gd.save(f"{folder}/run.npz", np.ones(2), epoch=3)
    ...     gd.distributed.load(f"{folder}/run.npz").epoch
    3
    """
    if optimizer is None:
        found = read(path, communicator(comm))
    else:
        _check_sharded(optimizer)
        found = read(path, optimizer.comm, optimizer.timeout)
    restore(found, path, params, optimizer, rng)
    return found


def read(path: str | Path, comm: Comm, timeout: float | None = TIMEOUT) -> Checkpoint:
    """Return what is in a file, on all ranks; the state of an optimizer stays there until it is used."""
    found: list[Checkpoint] = []

    def lines() -> list[str]:
        found.append(checkpoints.read(path, mapped=lambda name: name.startswith("optimizer.")))
        return [f"epoch {found[0].epoch} of {Path(path).name}"]

    agree(comm, lines, "load", timeout)
    return found[0]


def restore(found: Checkpoint, path: str | Path, params: Any, optimizer: Sharded | None, rng: Any) -> None:
    """Set parameters, optimizer and generator of all ranks to what they were."""
    with uninterrupted():
        checkpoints.restore(found, path, params, optimizer, rng)


def _check_sharded(optimizer: Any) -> None:
    if not isinstance(optimizer, Sharded):
        raise TypeError(
            f"optimizer: expected a gd.distributed.ShardedOptimizer, got {type(optimizer).__name__}; gd.save and "
            f"gd.load are for that"
        )


class Scratch(AbstractContextManager["Scratch"]):
    """Room on disk for arrays of ``nbytes`` together, in a file without a name, which is gone with this process.

    Its arrays can be used after it is closed. Raises OSError where there is no room.
    """

    def __init__(self, folder: Path, nbytes: int) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._end = 0
        try:
            if nbytes and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file.fileno(), 0, nbytes)
            else:  # macOS and Windows may find out later that there is no room
                self._file.truncate(nbytes)
        except OSError:
            self._file.close()
            raise

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def like(self, array: Array) -> Array:
        """Return an array of the shape and dtype of another in what room is left."""
        if not array.size:
            return np.empty_like(array)
        start, self._end = self._end, self._end + array.nbytes
        return np.asarray(np.memmap(self._file, array.dtype, "r+", start, array.shape))
