"""One rank's share of an optimizer: its part of every bucket, with a small optimizer for each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from ..arguments import Array
from ..groups import Group
from ..rows import Rows
from ..stepping import Optimizer
from ..trees import flatten
from .exchange import Mean, flat
from .launch import Comm
from .partition import Bucket, Segment
from .rows import between, elements, of_segment


class _Part(NamedTuple):
    """An optimizer over this rank's segments of a bucket; None if it has none there."""

    optimizer: Optimizer | None
    segments: tuple[Segment, ...]
    groups: tuple[int, ...]
    """Which groups of the whole optimizer its groups are."""
    lengths: tuple[int, ...]
    """How many segments each group has."""


class Share:
    """What this rank of ``comm`` steps of ``params``, with the state for it.

    ``whole`` is an optimizer of the same structure: its groups are where hyperparameters are read before each step.
    """

    def __init__(self, whole: Optimizer, params: Sequence[Array], buckets: Sequence[Bucket], comm: Comm) -> None:
        self._groups, self._params, self._buckets, self._comm = whole.groups, params, buckets, comm
        self._rank = comm.Get_rank()
        members = members_of(whole.groups)
        values = {name: value for name, value in whole.groups[0].items() if name != "params"}
        if whole.average is not None:
            values |= {"average": whole.average.decay, "average_corrected": whole.average.corrected}
        self._parts: list[_Part] = []
        for bucket in buckets:
            segments = bucket.own(self._rank)
            count = Counter(members[s.leaf] for s in segments)
            views = (flat(params[s.leaf], params[s.leaf])[s.part] for s in segments)
            groups = [{**whole.groups[index], "params": list(islice(views, n))} for index, n in count.items()]
            optimizer = type(whole)(groups, **values) if groups else None
            self._parts.append(_Part(optimizer, segments, tuple(count), tuple(count.values())))
        self._slots = [[*part.optimizer.state.values()] if part.optimizer else [] for part in self._parts]
        self._by_rows: dict[tuple[int, int], Rows] = {}  # of this step, for each own segment
        self._met: dict[int, Array] = {}  # which elements of each parameter it steps by rows
        self._places: list[list[tuple[int, int, int]]] = [[] for _ in params]  # of each parameter's segments
        for index, bucket in enumerate(buckets):
            for rank, segments in enumerate(bucket.segments):
                for position, segment in enumerate(segments):
                    self._places[segment.leaf].append((index, rank, position))

    def take_rows(self, means: Mapping[int, Rows]) -> None:
        """Take the gradients by rows of this step, by parameter."""
        self._by_rows, self._met = {}, {}
        for leaf, rows in means.items():
            places, values = elements(rows, self._params[leaf])
            self._met[leaf] = places
            for index, rank, position in self._places[leaf]:
                if rank == self._rank:
                    segment = self._parts[index].segments[position]
                    self._by_rows[index, position] = of_segment(places, values, segment)

    def bring_rows(self) -> None:
        """Bring everybody the elements that were stepped by rows, from their owners. Collective."""
        for leaf, places in self._met.items():
            whole = flat(self._params[leaf], self._params[leaf])
            owned: list[list[Array]] = [[places[:0]] for _ in range(self._comm.Get_size())]
            for index, rank, position in self._places[leaf]:
                segment = self._buckets[index].segments[rank][position]
                owned[rank].append(between(places, segment))
            of_ranks = [np.concatenate(parts) for parts in owned]
            counts = [len(part) for part in of_ranks]
            brought = np.empty(len(places), whole.dtype)
            self._comm.Allgatherv(whole[of_ranks[self._rank]], [brought, counts])
            whole[np.concatenate(of_ranks)] = brought

    def of(self, index: int, mean: Mean) -> list[Array | Rows | None]:
        """Return the gradient of each segment of a bucket; None for one that is skipped."""
        segments = zip(self._parts[index].segments, mean.skipped, strict=True)
        return [
            self._by_rows.get((index, position)) if skipped else mean.values[s.place]
            for position, (s, skipped) in enumerate(segments)
        ]

    def step(self, index: int, mean: Mean) -> None:
        """Step the parameters in a bucket."""
        part = self._parts[index]
        if part.optimizer is not None:
            for own, which in zip(part.optimizer.groups, part.groups, strict=True):
                own.ordered = self._groups[which].ordered
            grads = iter(self.of(index, mean))
            part.optimizer.step([list(islice(grads, length)) for length in part.lengths])

    def collect(self, leaf: int, slot: str, into: Array | None) -> None:
        """Bring the state of a parameter from its owners into an array of its shape; with None, only take part."""
        param = self._params[leaf]
        target = None if into is None else flat(into, param)
        for index, rank, position in self._places[leaf]:
            segment = self._buckets[index].segments[rank][position]
            piece = np.empty(segment.stop - segment.start, param.dtype)
            if rank == self._rank:
                piece[...] = self._slots[index][position][slot]
            self._comm.Bcast(piece, root=rank)
            if target is not None:
                target[segment.part] = piece

    def state(self) -> list[dict[str, tuple[Array, ...]]]:
        """Return the state arrays of this rank by parameter and slot."""
        found: list[dict[str, tuple[Array, ...]]] = [{} for _ in self._params]
        for part, states in zip(self._parts, self._slots, strict=True):
            for segment, slots in zip(part.segments, states, strict=True):
                for slot, array in slots.items():
                    found[segment.leaf][slot] = (*found[segment.leaf].get(slot, ()), array)
        return found

    def load(self, t: int, state: Sequence[Mapping[str, Array]]) -> None:
        """Take this rank's share of the whole state, given by parameter, and the step count."""
        for part in self._parts:
            if part.optimizer is not None:
                loaded = part.optimizer.state_dict()
                loaded["t"] = t
                for s, (name, slots) in zip(part.segments, loaded["state"].items(), strict=True):
                    param = self._params[s.leaf]
                    loaded["state"][name] = {slot: flat(state[s.leaf][slot], param)[s.part] for slot in slots}
                part.optimizer.load_state_dict(loaded)


def members_of(groups: Sequence[Group]) -> list[int]:
    """Return the index of the group of each parameter."""
    return [index for index, group in enumerate(groups) for _ in flatten(group.params)]
