"""The ranks of a job: whether there are as many as the launcher meant, what they agree on, and how they end."""

import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from types import TracebackType
from typing import Any, Final

Comm = Any
"""A communicator of mpi4py."""

LAUNCHERS: Final = {
    "OMPI_COMM_WORLD_SIZE": "OMPI_COMM_WORLD_RANK",
    "PMI_SIZE": "PMI_RANK",
    "MPI_LOCALNRANKS": "MPI_LOCALRANKID",
    "MV2_COMM_WORLD_SIZE": "MV2_COMM_WORLD_RANK",
    "SLURM_STEP_NUM_TASKS": "SLURM_PROCID",
}
"""What launchers tell each process: how many they start, and which it is. Open MPI, MPICH and Intel, MVAPICH2, and
last Slurm's srun, as within its job another may have been called."""

UNCHECKED: Final = "GDCORE_ANY_LAUNCHER"
"""The variable that, if it is 1, lets a process be alone whatever its launcher says."""


LAST_WORDS: Final = 0.5
"""Seconds between what a rank says and the end of the job: a launcher drops what it has not passed on by then."""

PATIENCE: Final = 5.0
"""Seconds that a rank which has nothing to say waits for rank 0 to say it and to end the job."""


class RankError(RuntimeError):
    """The ranks disagree, or what another one did failed; its message is the same on all that raise it."""


def communicator(comm: Comm = None) -> Comm:
    """Return a communicator, by default that of all ranks. A rank that ends by an exception now ends the job.

    Raises ImportError without mpi4py or an MPI, and RankError where it is that of all ranks, and the launcher
    started several processes of which each believes to be alone.
    """
    try:
        from mpi4py import MPI  # noqa: PLC0415
    except (ImportError, RuntimeError) as error:  # mpi4py raises the second where it finds no MPI
        raise ImportError(f"ranks need mpi4py and an MPI: pip install 'gdcore[mpi]' ({error})") from error
    comm = MPI.COMM_WORLD if comm is None else comm
    name, count = launched()
    alone = MPI.COMM_WORLD.Get_size() == 1
    if alone and count > 1 and comm == MPI.COMM_WORLD and os.environ.get(UNCHECKED) != "1":
        library = MPI.Get_library_version().split(",")[0].split("\n")[0].strip()
        raise RankError(
            f"mpiexec: expected {count} ranks, as {name} says, got as many jobs of 1 rank each: this launcher is "
            f"not that of {library}, which mpi4py uses; start with the mpiexec of that MPI, or give mpi4py the "
            f"launcher's; {UNCHECKED}=1 lets each be alone"
        )
    if not alone and not isinstance(sys.excepthook, _Ending):
        sys.excepthook = _Ending(MPI.COMM_WORLD)
    return comm


def launched() -> tuple[str, int]:
    """Return how many processes the launcher says it started, and the variable that says so; 1 without a launcher.

    Needs no mpi4py.
    """
    told = ((name, os.environ.get(name, "")) for name in LAUNCHERS)
    return next(((name, int(value)) for name, value in told if value.isdecimal()), ("", 1))


def started() -> Comm:
    """Return the communicator of all ranks if a launcher started several, else None."""
    return communicator() if launched()[1] > 1 else None


def is_first() -> bool:
    """Return whether this is rank 0 as its launcher counts, or has no launcher. Needs no mpi4py."""
    name, count = launched()
    return count == 1 or os.environ.get(LAUNCHERS[name], "0") == "0"


def end_job(status: int, patience: float = LAST_WORDS) -> None:
    """End all ranks with this exit status, if there are several: what else they wait for will not come."""
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is not None and not mpi.Is_finalized() and mpi.COMM_WORLD.Get_size() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(patience)
        mpi.COMM_WORLD.Abort(status)


@contextmanager
def only_first_speaks(comm: Comm) -> Iterator[bool]:
    """Discard what ranks other than 0 print within the block; give whether this one is heard."""
    if comm is None or comm.Get_rank() == 0:
        yield True
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):  # noqa: PTH123
        yield False


class _Ending:
    """What sees the exception by which a rank ends: it would leave the others waiting for it without end."""

    def __init__(self, comm: Comm) -> None:
        self._who = f"rank {comm.Get_rank()} of {comm.Get_size()}"
        self._before = sys.excepthook

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        said = io.StringIO()
        try:
            with redirect_stderr(said):
                self._before(kind, error, trace)
        finally:
            # In one piece, as other ranks may write at the same time.
            sys.stderr.write(f"{self._who} ends the job:\n{said.getvalue()}")
            end_job(130 if issubclass(kind, KeyboardInterrupt) else 1)
