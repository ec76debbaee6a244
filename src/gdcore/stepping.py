"""What every optimizer does, whatever its rule: it steps parameters, and keeps state for them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, TypedDict

import numpy as np

from . import rules
from .arguments import as_pairs, flag, is_array
from .engine import Engine, check_among, narrowed
from .groups import Group, Tree, split
from .halves import half_of, stepped_dtype
from .pairs import Pairs
from .stages import Average, checked_average
from .tensors import borrowed, check_leaf, is_tensor, note_written
from .trees import Structure, flatten, rebuild

MAX_STEPS = 2**63 - 1

OWN = frozenset(
    {"_engine", "_grouped", "_groups", "_master", "_members", "_pairs", "_state", "_structure", "_tensors"}
)
"""The attributes of every optimizer."""


class Kept(TypedDict, total=False):
    """What every optimizer takes beside its hyperparameters."""

    average: float | None
    average_corrected: bool
    master: bool
    memory: Callable[[int], Any] | None


class Optimizer:
    """Steps parameters in place by one update rule. Made through its named declarations, such as ``Adam``."""

    rule: ClassVar[rules.Rule]

    def __init__(
        self,
        params: Tree,
        *,
        average: float | None = None,
        average_corrected: bool = False,
        master: bool = False,
        memory: Callable[[int], Any] | None = None,
        **values: Any,
    ) -> None:
        for name in values:
            if name not in self.rule.hyperparameters:
                raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {name!r}")
        kept = checked_average(average, average_corrected)
        self._master = flag("master", master)
        given, self._grouped = split(params, self.rule)
        grouped = self._grouped
        tree = [group["params"] for group in given] if grouped else params
        self._structure = Structure(tree, "params")
        groups: list[Group] = []
        leaves: list[Any] = []
        tensors: list[Any] = []
        members: list[int] = []
        for index, group in enumerate(given):
            arrays = flatten(group["params"])
            if not arrays:
                raise ValueError(f"params{f'[{index}]' if grouped else ''}: expected at least one array, got none")
            tensors += arrays
            labels = self._structure.labels[len(leaves) :]
            arrays = [self._own(f"params{label}", array) for label, array in zip(labels, arrays, strict=False)]
            leaves += arrays
            members += [index] * len(arrays)
            dtypes = {stepped_dtype(getattr(as_pairs(array), "dtype", None)) for array in arrays}
            groups.append(Group(self.rule, group["params"], {**values, **group}, dtypes, kept))
        self._pairs = pairs = Pairs(self._structure, tree, leaves)
        self._engine = Engine(self._structure, pairs.tree, pairs.leaves, members, groups, memory, self._master)
        self._groups, self._members = tuple(groups), members
        self._tensors = tensors if any(map(is_tensor, tensors)) else []
        self._state: Mapping[str, Mapping[str, np.ndarray[Any, Any]]] | None = None

    @staticmethod
    def _own(where: str, param: Any) -> Any:
        """Return the array that is stepped for a parameter: a tensor's memory, or the parameter itself."""
        check_leaf(where, param)
        return borrowed(where, param) if is_tensor(param) else param

    def step(
        self,
        grads: Tree,
        *,
        scale: float = 1.0,
        max_norm: float | None = None,
        max_value: float | None = None,
        skip_nonfinite: bool = False,
        zero: bool = False,
    ) -> float | None:
        """Update the parameters in place: step ``t + 1``, all of it in one pass over memory.

        ``grads`` is a tree like ``params`` (with groups: a list of trees, one a group). Each gradient has the
        shape and dtype of its parameter, may have any strides, and is only read; where the parameter is stepped in
        float32 it may be of float16 or bfloat16. Complex parameters are stepped as pairs of reals, along
        ``dL/dx + i dL/dy``, as torch does. A tensor of torch on the CPU and an array of jax are read where they
        are, once jax is done with all it is at work on. None skips the parameter: it and its state stay as they
        are, while ``t`` counts on for all: what is stepped array by array, as gradients arrive, wants one
        optimizer an array.

        Arguments:
            grads: the gradients.
            scale: multiplies the gradients first; a finite number. ``1 / n`` makes a sum of n gradients their mean,
                -1 climbs, the inverse of a loss scale takes it out.
            max_norm: the largest global norm, > 0: then ``g = g * min(1, max_norm / norm)``, as in
                :func:`gdcore.clip_by_global_norm`. The norm is one pass more over the gradients; inf only asks
                for it. torch's ``clip_grad_norm_`` divides by ``norm + 1e-6``.
            max_value: the largest magnitude of an element, > 0; this comes before the norm.
            skip_nonfinite: a step whose scaled gradients are not all finite changes neither parameters nor state
                nor ``t``; ``opt.skipped`` counts it.
            zero: set the gradients to 0 as the step passes, of a skipped step too.

        Returns the norm of the scaled gradients before it is limited if ``max_norm`` is given, else None.

        Raises TypeError or ValueError, before anything is written, for a gradient of another dtype or shape, a
        tree of another structure, a gradient that overlaps a parameter or the state, where the tree ``params`` now
        holds another array (its values are to be changed in place), for an argument out of its range, and, with
        ``zero``, for gradients that are read-only or overlap; FloatingPointError for a norm that is not finite,
        without ``skip_nonfinite``.
        """
        of_pairs = self._pairs.of(grads) if self._pairs.any else grads
        norm = self._engine.step(of_pairs, scale, max_norm, max_value, skip_nonfinite, zero)
        if self._tensors or zero:
            self._note_step(grads, zero)
        return norm

    def _note_step(self, grads: Tree, zero: bool) -> None:
        """Tell torch which of its tensors a step has written."""
        leaves = self._structure.leaves(grads, "grads")
        if self._tensors:
            note_written(t for t, grad in zip(self._tensors, leaves, strict=True) if grad is not None)
        if zero:
            note_written(leaves)

    @property
    def skipped(self) -> int:
        """The number of steps that ``skip_nonfinite`` kept from being made, by this object."""
        return self._engine.skipped

    @property
    def average(self) -> Average | None:
        """The decay of the average of the weights, and whether it is corrected; None where there is none."""
        return self._groups[0].average

    def averages(self) -> Tree:
        """Return copies of the averages of the weights: a tree like the parameters (with groups: a list of trees).

        Those of parameters in half precision are of their masters, in float32.

        Raises ValueError for an optimizer without ``average``.
        """
        tree = [group.params for group in self._groups] if self._grouped else self._groups[0].params
        return rebuild(tree, iter(self._pairs.back(self._averages())))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within ``with opt.averaged():`` the parameters are their averages; afterwards they are what they were.

        Parameters in half precision are the averages rounded to it.

        A step within is a RuntimeError; ValueError for an optimizer without ``average``.
        """
        averages, engine = self._averages(), self._engine
        engine.away += 1
        try:
            with replaced(engine.params, averages):
                note_written(self._tensors)
                yield
        finally:
            note_written(self._tensors)
            engine.away -= 1

    def _averages(self) -> list[np.ndarray[Any, Any]]:
        if self.average is None:
            raise ValueError(f"average: expected an optimizer made with it, got {type(self).__name__} without")
        return [slots["average"] for slots in self._engine.slots]

    def check_params(self, params: Tree) -> None:
        """Raise ValueError unless each array that is stepped is, or is a view of, one of the arrays of ``params``.

        There may be others: what no optimizer steps is frozen.
        """
        check_among(self._structure.labels, self._engine.params, flatten(params))

    @property
    def t(self) -> int:
        """The number of steps taken so far."""
        return self._engine.t

    @property
    def lr(self) -> float:
        """The learning rate of all groups; assignment validates, and sets it for all of them."""
        rates = {group["lr"] for group in self._groups}
        if len(rates) > 1:
            raise ValueError(f"lr: expected groups of one learning rate, got {sorted(rates)}; read opt.groups")
        rate: float = rates.pop()
        return rate

    @lr.setter
    def lr(self, value: float) -> None:
        ordered = [group.with_lr(value) for group in self._groups]
        for group, values in zip(self._groups, ordered, strict=True):
            group.ordered = values

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups, each a mapping of ``"params"`` and of its hyperparameters, which can be assigned."""
        return self._groups

    @property
    def state(self) -> Mapping[str, Mapping[str, np.ndarray[Any, Any]]]:
        """The state arrays by parameter name and slot; views of what the next step reads and writes.

        Those of a complex parameter are of pairs of reals, of shape (..., 2).
        """
        if self._state is None:
            slots = (MappingProxyType(slots) for slots in self._engine.slots)
            self._state = MappingProxyType(dict(zip(self._structure.names, slots, strict=True)))
        return self._state

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of all that a resumed run needs beside the parameters, by name.

        ``{"rule": "adam", "t": 3, "groups": [{"params": [names], "lr": ...}], "state": {name: {slot: array}}}``
        """
        t, slots, ordered = self._engine.snapshot()
        return {
            "rule": self.rule.name,
            "t": t,
            **({} if self.average is None else {"average": self.average._asdict()}),
            "groups": [
                {"params": names, **dict(zip(self.rule.hyperparameters, values, strict=True))}
                for names, values in zip(self._names_of_groups(), ordered, strict=True)
            ],
            "state": dict(zip(self._structure.names, slots, strict=True)),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where ``state_dict`` was taken: step count, hyperparameters and state are replaced.

        Raises TypeError or ValueError, before anything is replaced, if it is of another rule or of other
        parameters, or if a value in it is out of range.
        """
        self.prepare_load(state_dict)()

    def prepare_load(self, state_dict: Mapping[str, Any]) -> Callable[[], None]:
        """Return what replaces the state, and cannot fail for what ``state_dict`` holds: that is checked here.

        Raises as :meth:`load_state_dict` does.
        """
        average = self.average
        own = () if average is None else ("average",)
        expect_keys("state_dict", state_dict, ("rule", "t", *own, "groups", "state"))
        if average is not None:
            expect_keys("state_dict['average']", state_dict["average"], average._fields)
            average = checked_average(*state_dict["average"].values())
        if state_dict["rule"] != self.rule.name:
            raise ValueError(f"state_dict['rule']: expected {self.rule.name!r}, got {state_dict['rule']!r}")
        t = state_dict["t"]
        if isinstance(t, bool) or not isinstance(t, int | np.integer):
            raise TypeError(f"state_dict['t']: expected an integer, got {t!r}")
        if not 0 <= t <= MAX_STEPS:
            raise ValueError(f"state_dict['t']: expected a number of steps in [0, 2**63), got {t}")
        ordered = self._validated_groups(state_dict["groups"])
        slots = self._validated_slots(state_dict["state"])
        return partial(self._engine.restore, int(t), slots, ordered, average)

    def _names_of_groups(self) -> list[list[str]]:
        names: list[list[str]] = [[] for _ in self._groups]
        for name, member in zip(self._structure.names, self._members, strict=True):
            names[member].append(name)
        return names

    def _validated_groups(self, given: Any) -> list[tuple[Any, ...]]:
        if not isinstance(given, list | tuple):
            raise TypeError(f"state_dict['groups']: expected a list, got {type(given).__name__}")
        if len(given) != len(self._groups):
            raise ValueError(f"state_dict['groups']: expected {len(self._groups)} groups, got {len(given)}")
        ordered = []
        for index, (group, names, new) in enumerate(zip(self._groups, self._names_of_groups(), given, strict=True)):
            place = f"state_dict['groups'][{index}]"
            expect_keys(place, new, ("params", *self.rule.hyperparameters))
            if not isinstance(new["params"], list | tuple) or list(new["params"]) != names:
                raise ValueError(f"{place}['params']: expected {names}, got {new['params']}")
            ordered.append(group.validated(new))
        return ordered

    def _validated_slots(self, given: Any) -> list[dict[str, Any]]:
        names = self._structure.names
        expect_keys("state_dict['state']", given, names)
        validated = []
        for name, slots, (shape, dtype, _) in zip(names, self._engine.slots, self._engine.specs, strict=True):
            place = f"state_dict['state'][{name!r}]"
            expect_keys(place, given[name], tuple(slots))
            taken = {}
            for slot in slots:
                new = given[name][slot]
                if not is_array(new):
                    raise TypeError(f"{place}[{slot!r}]: expected a NumPy array, got {type(new).__name__}")
                taken[slot] = new = np.asarray(new)  # what a subclass says of itself may be something else
                if new.dtype != dtype or new.shape != shape:
                    raise ValueError(f"{place}[{slot!r}]: expected {dtype} {shape}, got {new.dtype} {new.shape}")
            validated.append(taken)
        return validated

    def __reduce__(self) -> tuple[Any, ...]:
        # Copying and pickling make the parameters anew too; those copied beside the optimizer stay shared with it.
        groups = [dict(group) for group in self._groups]
        params = groups if self._grouped else groups[0]["params"]
        values = {name: groups[0][name] for name in self.rule.hyperparameters} | {"master": self._master}
        if self.average is not None:
            values |= {"average": self.average.decay, "average_corrected": self.average.corrected}
        added = {name: value for name, value in vars(self).items() if name not in OWN}  # by a subclass
        return _remake, (type(self), params, values, self.state_dict()), added or None

    def __repr__(self) -> str:
        values = [{name: value for name, value in group.items() if name != "params"} for group in self._groups]
        return f"{type(self).__name__}({len(self._structure.names)} arrays, t={self.t}, groups={values})"


def _remake(kind: type[Optimizer], params: Tree, values: dict[str, Any], state_dict: dict[str, Any]) -> Optimizer:
    optimizer = kind.__new__(kind)
    Optimizer.__init__(optimizer, params, **values)
    optimizer.load_state_dict(state_dict)
    return optimizer


@contextmanager
def replaced(params: Sequence[Any], others: Sequence[Any]) -> Iterator[None]:
    """Within it ``params`` have the values of ``others``, rounded where they are halves; afterwards their own."""
    before = [param.copy() for param in params]
    try:
        for param, array in zip(params, others, strict=True):
            if half_of(param.dtype):
                narrowed(param, array)
            else:
                param[...] = array
        yield
    finally:
        for param, array in zip(params, before, strict=True):
            param[...] = array


def expect_keys(place: str, mapping: Any, keys: Sequence[str]) -> None:
    """Raise TypeError or ValueError unless ``mapping`` has just these keys; ``place`` is what errors call it."""
    if not isinstance(mapping, Mapping):
        raise TypeError(f"{place}: expected a dict, got {type(mapping).__name__}")
    known = set(keys)
    missing = [key for key in keys if key not in mapping]
    unknown = [key for key in mapping if key not in known]
    if missing or unknown:
        got = f"none of {missing[0]!r}" if missing else f"also {unknown[0]!r}"
        raise ValueError(f"{place}: expected the keys {', '.join(map(repr, keys)) or '(none)'}; got {got}")
