"""Groups of parameters that share their hyperparameters."""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np

from . import rules
from .stages import Average

Tree = Any
"""An array, or nested dicts, lists and tuples of arrays."""


MOST_SLOTS = 3
"""How many slots a rule may have."""


class Group(MutableMapping[str, Any]):
    """Parameters that share their hyperparameters: a mapping of ``"params"`` and of each hyperparameter.

    Assignment validates. ``"params"``, and a hyperparameter that decides which state there is, are fixed.
    """

    def __init__(
        self,
        rule: rules.Rule,
        params: Tree,
        values: Mapping[str, Any],
        dtypes: set[Any],
        average: Average | None = None,
    ) -> None:
        self.rule = rule
        self.average = average
        self.params = params
        self.single = np.dtype(np.float32) in dtypes
        self._dtypes = dtypes
        self.ordered = self._checked = rule.check(values, dtypes)
        self.used_slots = rule.used_slots(self._values())
        if average is not None:  # behind the slots of any rule
            self.used_slots += (None,) * (MOST_SLOTS - len(self.used_slots)) + ("average",)

    def validated(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return new values for all hyperparameters, in order, if they can take the place of the present ones."""
        ordered = self.rule.check(values, self._dtypes)
        wanted = self.rule.used_slots(dict(zip(self.rule.hyperparameters, ordered, strict=True)))
        for name, asks in self.rule.slots.items():
            if asks is not None and (name in wanted) != (name in self.used_slots):
                raise ValueError(
                    f"{asks}: expected a value that needs the same state as {self[asks]!r}, got {values[asks]!r}; "
                    f"make a new optimizer"
                )
        return ordered

    def changed(self, key: str, value: Any) -> tuple[Any, ...]:
        """Return the hyperparameters in order with one replaced, if that is possible."""
        return self.validated({**self._values(), key: value})

    def with_lr(self, value: Any) -> tuple[Any, ...]:
        """Return the hyperparameters in order with another learning rate, if that is possible.

        A schedule asks at every step. What goes well with one learning rate does with each smaller one, as no
        coefficient is larger then; so most steps need no other check.
        """
        checked_lr, *checked = self._checked
        _, *others = self.ordered
        if not (type(value) is float and 0.0 <= value <= checked_lr and others == checked):
            self._checked = self.changed("lr", value)
            return self._checked
        return (value, *others)

    def _values(self) -> dict[str, Any]:
        return dict(zip(self.rule.hyperparameters, self.ordered, strict=True))

    def __getitem__(self, key: str) -> Any:
        return self.params if key == "params" else self._values()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._check_key(key)
        self.ordered = self.changed(key, value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Assign several hyperparameters, all or none."""
        new = dict(*args, **kwargs)
        for key in new:
            self._check_key(key)
        self.ordered = self.validated({**self._values(), **new})

    def _check_key(self, key: object) -> None:
        if key not in self.rule.hyperparameters:
            raise KeyError(f"{key}: expected one of {', '.join(self.rule.hyperparameters)}")

    def __delitem__(self, key: str) -> None:
        raise TypeError(f"{key}: a group always has all hyperparameters of its rule")

    def __iter__(self) -> Iterator[str]:
        return iter(("params", *self.rule.hyperparameters))

    def __len__(self) -> int:
        return 1 + len(self.rule.hyperparameters)

    def __repr__(self) -> str:
        return repr(dict(self))

    # Two groups with equal contents are still two; and arrays cannot be compared by a mapping.
    __eq__ = object.__eq__
    __hash__ = object.__hash__


def split(params: Tree, rule: rules.Rule) -> tuple[list[dict[str, Any]], bool]:
    """Return ``params`` as groups, and whether they were given as such.

    A list or tuple is one of groups if some item is a mapping with the key "params". Raises ValueError for an item
    that is none, and for a key that is no hyperparameter of the rule.
    """
    if not isinstance(params, list | tuple) or not any(_is_group(item) for item in params):
        return [{"params": params}], False
    for index, item in enumerate(params):
        if not _is_group(item):
            raise ValueError(
                f"params[{index}]: expected a dict with the key 'params', as other items are, got another"
            )
        for key in item:
            if key != "params" and key not in rule.hyperparameters:
                expected = ", ".join(map(repr, rule.hyperparameters))
                raise ValueError(f"params[{index}]: expected only 'params', {expected}; got {key!r}")
    return [dict(item) for item in params], True


def _is_group(item: object) -> bool:
    return isinstance(item, Mapping) and "params" in item
