"""How a run is written to a checkpoint as it goes, and goes on from it."""

import time
import zlib
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np

from ..arguments import Array, checked_number
from ..checkpoints import CheckpointError, check_path, encode, state_of
from ..files import remove_leftovers
from ..halves import matched
from ..schedules import Schedule
from ..trees import flatten
from .history import Record
from .run import Place, Run
from .team import Team


class OtherRunError(ValueError):
    """A checkpoint is of another run; ``difference`` says in what, and the message that of the argument."""

    def __init__(self, difference: str) -> None:
        super().__init__(f"checkpoint: {difference}")
        self.difference = difference


class ScheduleError(OtherRunError):
    """A checkpoint is of a run whose learning rates were others."""


class Rates:
    """The checksum of the rates that a schedule has given so far: what the past of two runs has in common.

    None for what is no schedule of :mod:`gdcore.schedules`, which may give others when it is asked again.
    """

    def __init__(self, schedule: Callable[[int], float] | None, first: int) -> None:
        self.schedule, self.first = schedule, first
        self.count = 0
        self.checksum = 0 if isinstance(schedule, Schedule) else None

    def until(self, count: int) -> int | None:
        """Return the checksum of the first ``count`` rates, at least as many as before."""
        if self.schedule is not None and self.checksum is not None:
            rates = [self.schedule(self.first + step) for step in range(self.count, count)]
            self.count, self.checksum = count, zlib.crc32(np.array(rates, "<f8").tobytes(), self.checksum)
        return self.checksum


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
        data: Sequence[Array],
        schedule: Callable[[int], float] | None,
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
        if schedule is not None:  # which sets the rates
            groups = [{**group, "lr": None} for group in groups]
        optimizer = {"rule": own["rule"], "hyperparameters": groups}
        validation = sameness["validation"]
        self.sameness = {
            "data": checksum(data),
            **sameness,
            **optimizer,
            "validation": None if validation is None else checksum(validation),
            "shuffle": run.shuffle,
        }
        self.schedule = schedule
        self.rates = Rates(schedule, run.optimizer.t)
        self._check_contents()
        self.next = time.perf_counter() + self.every
        self.steps_an_epoch: int = -(-len(data[0]) // sameness["batch_size"])
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
        epoch, step, sums, order, _, kept = run.at
        best = None if kept is None else {"epoch": kept[0]["epoch"], "params": kept[1]}
        metadata = {
            "sameness": self.sameness,
            "schedule": described(self.schedule),
            "rates": self.rates.until(self._steps(run.at)),
            "step": step,
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
        steps = (saved.epoch - 1) * self.steps_an_epoch + metadata["step"]
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
        run.at = run.ahead = Place(saved.epoch, metadata["step"], sums, metadata["order"], run.state(), kept)
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
        return (at.epoch - 1) * self.steps_an_epoch + at.step


def described(schedule: Any) -> str | None:
    """Return what errors say of a schedule."""
    if schedule is None:
        return None
    return repr(schedule) if isinstance(schedule, Schedule) else "a function"


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
