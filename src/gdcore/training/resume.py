"""How a run is written to a checkpoint as it goes, and goes on from it."""

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arguments import checked_number
from ..checkpoints import Checkpoint, CheckpointError, check_path, encode, load, save, state_of
from ..files import remove_leftovers
from ..trees import flatten
from .history import Record
from .run import Place, Run

Array = np.ndarray[Any, Any]


class Saver:
    """Writes the state of a run to a file every so many seconds, and reads it back.

    ``sameness`` is what a run must have in common with the one that wrote the file for its result to be the same.
    ``team`` writes and reads it, where several ranks train together.
    """

    def __init__(
        self,
        path: str | Path,
        every: float,
        run: Run,
        data: Sequence[Array],
        sameness: Mapping[str, Any],
        team: Any = None,
    ) -> None:
        _check_path(path)
        self.every = checked_number("checkpoint_every", every, 0, above=False)
        remove_leftovers(path)
        self.path = Path(path)
        self._save: Callable[..., None] = save if team is None else team.save
        self._load: Callable[..., Checkpoint] = load if team is None else team.load
        self.run = run
        state = run.optimizer.state_dict()
        groups = [{name: value for name, value in group.items() if name != "params"} for group in state["groups"]]
        if sameness["schedule"] is not None:  # which sets the rates
            groups = [{**group, "lr": None} for group in groups]
        optimizer = {"rule": state["rule"], "hyperparameters": groups}
        validation = sameness["validation"]
        self.sameness = {
            "data": checksum(data),
            **sameness,
            **optimizer,
            "validation": None if validation is None else checksum(validation),
            "shuffle": run.shuffle,
        }
        self._check_contents()
        self.due = time.perf_counter() + self.every
        self.steps_an_epoch: int = -(-len(data[0]) // sameness["batch_size"])
        self.steps_before: int = run.optimizer.t

    def save_interrupted(self) -> None:
        """Write the file after an interrupt.

        If the optimizer has done the step under way, that is noted first; if not, the generator goes back to where
        it was before, as the step will be done again.
        """
        run = self.run
        if run.optimizer.t == self.steps_before + self._steps(run.ahead):
            run.at = run.ahead
        if run.rng is not None and run.at.drawn is not None:
            run.rng.bit_generator.state = run.at.drawn
        self.save()

    def _check_contents(self) -> None:
        """Find out before the first step what could not be saved."""
        encode(self.run.params, "params", {})
        encode(self.sameness["settings"], "settings", {})
        if self.run.rng is not None:
            state_of(self.run.rng)

    def check(self, record: Record) -> None:
        """Raise TypeError or ValueError, at once, for what a callback has put in a record and no file can hold."""
        encode(record, "record", {})

    def save(self) -> None:
        """Write the file, whole or not at all."""
        run = self.run
        epoch, step, sums, order, _, kept = run.at
        best = None if kept is None else {"epoch": kept[0]["epoch"], "params": kept[1]}
        metadata = {
            "sameness": self.sameness,
            "step": step,
            "sums": sums,
            "order": order,
            "seconds": run.seconds,
            "losses": {"first": run.watch.first, "above": run.watch.above},
            "best": best,
            "records": run.history.records[: epoch - 1],
            "stopped": run.history.stopped,
        }
        self._save(self.path, run.params, run.optimizer, rng=run.rng, epoch=epoch, metadata=metadata)
        self.due = time.perf_counter() + self.every

    def resume(self) -> None:
        """Go on from the file. Raises as :func:`gdcore.load` does, and ValueError for the file of another run."""
        run = self.run
        saved = self._load(self.path)
        metadata = saved.metadata
        if not isinstance(metadata, dict) or "sameness" not in metadata or saved.epoch is None:
            raise CheckpointError(f"checkpoint: expected one that gd.fit wrote, got another in {self.path}")
        for name, ours in self.sameness.items():
            theirs = metadata["sameness"].get(name)
            if theirs != ours:
                raise ValueError(
                    f"checkpoint: expected a run with {name} {ours}, got one with {theirs} in {self.path}"
                )
        best = metadata["best"]
        if best is not None:
            _check_like(best["params"], flatten(run.params), self.path)
        self._load(self.path, params=run.params, optimizer=run.optimizer, rng=run.rng)
        records = metadata["records"]
        kept = None if best is None else (records[best["epoch"] - 1], best["params"])
        sums = tuple(metadata["sums"])
        run.at = run.ahead = Place(saved.epoch, metadata["step"], sums, metadata["order"], run.state(), kept)
        self.steps_before = run.optimizer.t - self._steps(run.at)
        run.seconds = metadata["seconds"]
        run.watch.resume(**metadata["losses"])
        run.history.records[:] = records
        if metadata["stopped"] == "callback":
            run.history.stopped = "callback"

    def _steps(self, at: Place) -> int:
        return (at.epoch - 1) * self.steps_an_epoch + at.step


def checksum(arrays: Sequence[Array]) -> str:
    """Return a number that tells the samples of one run from those of another. Raises TypeError for objects."""
    value = 0
    for index, array in enumerate(arrays):
        if array.dtype.hasobject:
            raise TypeError(
                f"data[{index}]: expected no Python objects with a checkpoint or comm, got {array.dtype}"
            )
        value = zlib.crc32(f"{array.dtype.str}{array.shape}".encode(), value)
        value = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data, value)
    return f"{value:08x}"


def _check_path(path: Any) -> None:
    if not isinstance(path, str | Path):
        raise TypeError(f"checkpoint: expected a path or None, got {path!r} of type {type(path).__name__}")
    try:
        check_path(path)
    except ValueError as error:
        raise ValueError(f"checkpoint:{str(error).removeprefix('path:')}") from None


def _check_like(saved: Any, leaves: list[Array], path: Path) -> None:
    if len(saved) != len(leaves) or any(
        (a.shape, a.dtype) != (b.shape, b.dtype) for a, b in zip(saved, leaves, strict=False)
    ):
        raise CheckpointError(
            f"checkpoint: expected the best parameters like the present ones, got others in {path}"
        )
