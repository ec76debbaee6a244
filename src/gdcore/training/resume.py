"""How a run is written to a checkpoint as it goes, and goes on from it."""

import time
import zlib
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np

from ..arguments import Array, checked_number
from ..checkpoints import CheckpointError, check_path, encode, state_of
from ..data import Batches, Samples, contents
from ..files import remove_leftovers
from ..halves import matched
from ..trees import flatten
from .history import Record
from .rates import Rates, described, of_schedule
from .run import Place, Run
from .team import Team


class OtherRunError(ValueError):
    """A checkpoint is of another run; ``difference`` says in what, and the message that of the argument."""

    def __init__(self, difference: str) -> None:
        super().__init__(f"checkpoint: {difference}")
        self.difference = difference


class ScheduleError(OtherRunError):
    """A checkpoint is of a run whose learning rates were others."""


class Saver:
    """Writes the state of a run to a file every so many seconds, and reads it back.

    ``sameness`` is what a run must have in common with the one that wrote the file for its result to be the same.
    ``team`` writes and reads it.
    """

    def __init__(
        self,
        path: str | Path,
        every: float,
        run: Run,
        source: Samples | Batches,
        validation: Samples | Batches | None,
        schedule: Any,
        sameness: Mapping[str, Any],
        team: Team,
    ) -> None:
        _check_path(path)
        self.every = checked_number("checkpoint_every", every, 0, above=False)
        remove_leftovers(path)
        self.path = Path(path)
        self.run, self.team = run, team
        own = team.hyperparameters()
        groups = [{name: value for name, value in group.items() if name != "params"} for group in own["groups"]]
        for index, group in enumerate(groups):
            if of_schedule(schedule, index):  # which sets the rates
                group["lr"] = None
        optimizer = {"rule": own["rule"], "hyperparameters": groups}
        self.sameness = {
            "data": _identity(source),
            **sameness,
            **optimizer,
            "validation": None if validation is None else _identity(validation),
            "shuffle": run.shuffle,
        }
        self.schedule = schedule
        self.rates = Rates(schedule, run.optimizer.t)
        self._check_contents()
        self.next = time.perf_counter() + self.every
        self.steps_before: int = run.optimizer.t

    def is_due(self) -> bool:
        """Return whether it is time to write the file."""
        return time.perf_counter() >= self.next

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
        epoch, step, sums, order, _, done, kept = run.at
        best = None if kept is None else {"epoch": kept[0]["epoch"], "params": kept[1]}
        metadata = {
            "sameness": self.sameness,
            "schedule": described(self.schedule),
            "rates": self.rates.until(self._steps(run.at)),
            "step": step,
            "before": done,
            "sums": sums,
            "order": order,
            "seconds": run.seconds,
            "losses": run.watch.state(),
            "best": best,
            "records": run.history.records[: epoch - 1],
            "stopped": run.history.stopped,
        }
        self.team.save(self.path, run.params, rng=run.rng, epoch=epoch, metadata=metadata)
        self.next = time.perf_counter() + self.every

    def resume(self) -> None:
        """Go on from the file. Raises as :func:`gdcore.load` does, and ValueError for the file of another run."""
        run = self.run
        saved = self.team.read(self.path)
        metadata = saved.metadata
        if not isinstance(metadata, dict) or "rates" not in metadata or saved.epoch is None:
            raise CheckpointError(f"checkpoint: expected one that gd.fit wrote, got another in {self.path}")
        optimizer = {"rule", "hyperparameters"}  # whose rates are those of the schedule
        self._check_same(metadata["sameness"], self.sameness.keys() - optimizer)
        steps = metadata["before"] + metadata["step"]
        before = (0 if saved.optimizer is None else saved.optimizer["t"]) - steps
        self._check_schedule(metadata["schedule"], metadata["rates"], before, steps)
        self._check_same(metadata["sameness"], optimizer)
        best = metadata["best"]
        if best is not None:
            best["params"] = _like(best["params"], flatten(run.params), self.path)
        self.team.restore(saved, self.path, run.params, run.rng)
        records = metadata["records"]
        kept = None if best is None else (records[best["epoch"] - 1], best["params"])
        sums = tuple(metadata["sums"])
        done, order = metadata["before"], metadata["order"]
        run.at = run.ahead = Place(saved.epoch, metadata["step"], sums, order, run.state(), done, kept)
        self.steps_before = before
        run.seconds = metadata["seconds"]
        run.watch.resume(metadata["losses"])
        run.history.records[:] = records
        if metadata["stopped"] == "callback":
            run.history.stopped = "callback"

    def _check_same(self, sameness: Mapping[str, Any], names: Set[str]) -> None:
        for name, ours in self.sameness.items():
            theirs = sameness.get(name)
            if name in names and theirs != ours:
                raise OtherRunError(f"expected a run with {name} {ours}, got one with {theirs} in {self.path}")

    def _check_schedule(self, theirs: str | None, rates: int | None, first: int, steps: int) -> None:
        """Raise ScheduleError unless the steps of the file had the rates that they would have now."""
        ours, now = described(self.schedule), Rates(self.schedule, first)
        if theirs == ours:
            now.count, now.checksum = steps, rates
        elif rates is None or now.until(steps) != rates:
            past = f" and other rates in its {steps} steps" if theirs and ours else ""
            raise ScheduleError(f"expected a run with schedule {ours}, got one with {theirs}{past} in {self.path}")
        self.rates = now

    def _steps(self, at: Place) -> int:
        return at.before + at.step


def _identity(source: Samples | Batches) -> str:
    return checksum(source.columns) if isinstance(source, Samples) else "a source of batches"


def checksum(arrays: Sequence[Any]) -> str:
    """Return a number that tells the samples of one run from those of another. Raises TypeError for objects."""
    value = 0
    for index, array in enumerate(arrays):
        if array.dtype.hasobject:
            raise TypeError(
                f"data[{index}]: expected no Python objects with a checkpoint or comm, got {array.dtype}"
            )
        value = zlib.crc32(f"{array.dtype.str}{array.shape}".encode(), value)
        for part in contents(array):
            value = zlib.crc32(np.ascontiguousarray(part).view(np.uint8).reshape(-1).data, value)
    return f"{value:08x}"


def _check_path(path: Any) -> None:
    if not isinstance(path, str | Path):
        raise TypeError(f"checkpoint: expected a path or None, got {path!r} of type {type(path).__name__}")
    check_path(path, "checkpoint")


def _like(saved: Any, leaves: list[Array], path: Path) -> list[Array]:
    found = [matched(a, b.dtype) for a, b in zip(saved, leaves, strict=False)]
    if len(saved) != len(leaves) or any(
        (a.shape, a.dtype) != (b.shape, b.dtype) for a, b in zip(found, leaves, strict=True)
    ):
        raise CheckpointError(
            f"checkpoint: expected the best parameters like the present ones, got others in {path}"
        )
    return found
