"""Where the batches of a run come from: samples put into batches here, or a source that yields batches itself."""

import inspect
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, Final

from ..arguments import is_array
from .batches import check_rng, checked_batches
from .columns import Stored, as_column, checked_columns, count

EACH: Final = "data=lambda epoch: ..."

LISTED: Final = frozenset({list, tuple})


class Samples:
    """Columns of samples, in batches of ``size``.

    Attributes:
        samples: how many there are.
        steps: how many batches an epoch has.
        plain: whether all batches are of arrays.
    """

    def __init__(self, columns: Sequence[Any], size: int) -> None:
        self.columns, self.size = tuple(columns), size
        self.samples: int = columns[0].shape[0]
        self.steps: int | None = -(-self.samples // size)
        self.plain = all(is_array(column) or isinstance(column, Stored) for column in columns)


class Batches:
    """A source of batches: what can be gone through again and again, or a function of the epoch.

    Attributes:
        samples: how many the epoch under way has had so far.
        steps: how many batches an epoch has, None where nobody knows.
        repeatable: whether it can go on from the middle of an epoch: it is a function of the epoch.
    """

    plain = False

    def __init__(self, name: str, given: Any) -> None:
        self.name, self.given = name, given
        self.samples = 0
        self.repeatable = callable(given) and _takes_epoch(given)
        try:
            self.steps: int | None = len(given)
        except TypeError:  # of a DataLoader of an IterableDataset too
            self.steps = None
        self.kind = type(given).__name__
        self.known: set[type] = set()

    def batches(self, epoch: int, first: int = 0) -> Generator[tuple[Any, ...], None, None]:
        """Yield the batches of an epoch, counted from 1, from that with index ``first`` on."""
        self.samples, index = 0, -1
        for index, batch in enumerate(self._opened(epoch)):
            items = tuple([self._item(item) for item in _opened_out(batch)])
            try:
                samples = count(items) if items else 0
            except (TypeError, IndexError):
                samples = 0
            if not samples:
                raise ValueError(
                    f"{self.name}: expected batches of one sample or more, got {type(batch).__name__} without "
                    f"any as batch {index + 1} of epoch {epoch}"
                )
            self.samples += samples
            if index >= first:
                yield items
            del batch, items
        if index + 1 < max(first, 1):
            said = f"{self.name}: expected {max(first, 1)} batches or more, got {index + 1} in epoch {epoch}"
            once = "" if index >= 0 or epoch == 1 else f"; what gives its batches once is made anew in each: {EACH}"
            raise ValueError(said + once)

    def _opened(self, epoch: int) -> Iterable[Any]:
        given = self.given
        if callable(given):
            given = given(epoch) if self.repeatable else given()
            alone = is_array(given) or (isinstance(given, tuple) and bool(given) and all(map(_has_rows, given)))
            if alone or not isinstance(given, Iterable):
                got = f"{type(given).__name__}{'; a list of it is one of one batch' if alone else ''}"
                raise TypeError(f"{self.name}: expected a function of the epoch to return an iterator, got {got}")
        batches: Iterable[Any] = given
        return batches

    def _item(self, item: Any) -> Any:
        if is_array(item):
            return item
        if type(item) in self.known:  # whose own method takes a third of the time
            return item.__array__()
        if isinstance(item, dict):
            return {key: self._item(value) for key, value in item.items()}
        if isinstance(item, _Parts):
            return tuple([self._item(part) for part in item])
        if isinstance(item, list | tuple) or hasattr(item, "__array__") or hasattr(item, "__dlpack__"):
            column = as_column(f"{self.name}: in a batch", item)
            if type(item).__module__ == "torch":
                self.known.add(type(item))
            return column
        return item


def _has_rows(item: Any) -> bool:
    return bool(getattr(item, "shape", ()))


class _Parts(tuple[Any, ...]):
    """Arrays that each have all samples of a batch, in one item of it: ``((x1, x2), y)``."""


def _opened_out(batch: Any) -> Sequence[Any]:
    """Return the items of a batch: arrays in a list or tuple are parts if they, not it, are as long as others."""
    items = batch if isinstance(batch, tuple | list) else (batch,)
    if LISTED.isdisjoint(map(type, items)):
        return items
    nested = [type(item) in LISTED and bool(item) and all(map(_has_rows, item)) for item in items]
    others = {
        len(item)
        for item, of in zip(items, nested, strict=True)
        if not of and (_has_rows(item) or type(item) in LISTED)
    }
    return [
        _Parts(item) if of and len(item) not in others and {len(part) for part in item} <= others else item
        for item, of in zip(items, nested, strict=True)
    ]


def as_source(name: str, data: Any, batch_size: Any, rng: Any, shuffle: Any) -> Samples | Batches:
    """Return where the batches come from; raise as :func:`gdcore.fit` does."""
    if is_source(name, data):
        check_rng(rng, optional=True)
        if batch_size is not None:
            raise TypeError(
                f"batch_size: expected None with a source of batches, which has its own, got {batch_size!r}"
            )
        return Batches(name, data)
    if batch_size is None:
        columns = checked_columns(name, data)
        check_rng(rng, optional=True)
        return Samples(columns, columns[0].shape[0])
    columns, size = checked_batches(data, batch_size, rng, shuffle, name)
    return Samples(columns, size)


def is_source(name: str, data: Any) -> bool:
    """Return whether it yields batches, rather than being a tuple of samples; raise TypeError if it is neither."""
    if isinstance(data, tuple) or (isinstance(data, list) and not _of_batches(data)):
        return False
    if callable(data) or isinstance(data, list):
        return True
    said = f"{name}: expected a tuple of arrays, got {type(data).__name__}"
    if hasattr(data, "__array__") or hasattr(data, "__dlpack__") or hasattr(data, "toarray"):
        raise TypeError(f"{said}; one alone is ({name},)")
    if isinstance(data, Iterator):
        raise TypeError(f"{said}, which is used up after one epoch; a function makes a new one for each: {EACH}")
    if not isinstance(data, Iterable) or isinstance(data, Mapping | Set | str | bytes):
        raise TypeError(f"{said}; a source of batches is iterable, as a DataLoader is, or a function of the epoch")
    return True


def _of_batches(items: list[Any]) -> bool:
    """Return whether a list is one of batches: of tuples, or of lists of arrays."""
    return bool(items) and all(
        isinstance(item, tuple) or (isinstance(item, list) and bool(item) and bool(getattr(item[0], "shape", ())))
        for item in items
    )


def _takes_epoch(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL} for p in parameters)
