"""Nested dicts, lists and tuples of arrays <-> a flat tuple of named leaves.

Keys are joined by dots: the leaf of ``{"layers": [{"w": x}]}`` is named ``"layers.0.w"``, as in a state dict of
torch. A tree that is nothing but a leaf names it ``"param"``.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Any, Final, NamedTuple

Path = tuple[str | int, ...]

ROOT: Final = "param"
BRANCHES: Final = (dict, list, tuple)


class Structure:
    """The shape of one tree: which keys stand where. It takes the leaves out of any tree of that shape.

    ``root`` is the branch at the top, None for a leaf; ``names`` are the names of the leaves; ``labels`` are what
    errors append to the name of a tree to say which leaf they mean.

    Raises TypeError for a dict key that is neither a string nor an integer, and ValueError for two leaves of one
    name; ``what`` names the tree in errors.
    """

    def __init__(self, tree: Any, what: str) -> None:
        paths: list[Path] = []
        self.root = _branch(tree, (), paths, what)
        self.names = tuple(".".join(map(str, path)) or ROOT for path in paths)
        self.labels = tuple(where("", path) for path in paths)
        name, count = max(Counter(self.names).items(), key=itemgetter(1), default=("", 0))
        if count > 1:
            raise ValueError(f"{what}: expected names that differ, got {name!r} {count} times")

    def leaves(self, tree: Any, what: str) -> tuple[Any, ...]:
        """Return the leaves of ``tree`` in the order of ``names``.

        Raises TypeError where a dict, list or tuple is expected and something else comes, and ValueError for a
        missing or an unknown key and for a list of another length.
        """
        if self.root is None:
            return (tree,)
        found: list[Any] = []
        _collect(self.root, tree, (), found, what)
        return tuple(found)


class Branch(NamedTuple):
    """A dict, or a list or tuple, and what stands at each of its keys: another branch, or None for a leaf."""

    kind: type[Any]
    keys: tuple[str | int, ...]
    children: tuple["Branch | None", ...]


def where(what: str, path: Path) -> str:
    """Return how errors name a place in a tree: ``grads['layers.0.w']``."""
    return f"{what}[{'.'.join(map(str, path))!r}]" if path else what


def _branch(tree: Any, path: Path, paths: list[Path], what: str) -> Branch | None:
    kind: type[Any]
    keys: tuple[str | int, ...]
    if isinstance(tree, dict):
        for key in tree:
            if isinstance(key, bool) or not isinstance(key, str | int):
                raise TypeError(f"{where(what, path)}: expected keys of type str or int, got {key!r}")
        kind, keys = dict, tuple(tree)
    elif isinstance(tree, list | tuple):
        kind, keys = type(tree), tuple(range(len(tree)))
    else:
        paths.append(path)
        return None
    return Branch(kind, keys, tuple(_branch(tree[key], (*path, key), paths, what) for key in keys))


def _collect(branch: Branch, tree: Any, path: Path, found: list[Any], what: str) -> None:
    _check(branch, tree, path, what)
    for key, child in zip(branch.keys, branch.children, strict=True):
        if child is None:
            found.append(tree[key])
        else:
            _collect(child, tree[key], (*path, key), found, what)


def _check(branch: Branch, tree: Any, path: Path, what: str) -> None:
    if branch.kind is dict:
        if not isinstance(tree, dict):
            raise TypeError(f"{where(what, path)}: expected a dict, got {type(tree).__name__}")
        missing = [key for key in branch.keys if key not in tree]
        if missing:
            raise ValueError(f"{where(what, (*path, missing[0]))}: expected in the tree, got nothing")
        if len(tree) > len(branch.keys):
            known = set(branch.keys)
            unknown = next(key for key in tree if key not in known)
            raise ValueError(f"{where(what, (*path, unknown))}: expected no such key, as the parameters have none")
    else:
        if not isinstance(tree, list | tuple):
            raise TypeError(f"{where(what, path)}: expected a list or tuple, got {type(tree).__name__}")
        if len(tree) != len(branch.keys):
            raise ValueError(f"{where(what, path)}: expected {len(branch.keys)} items, got {len(tree)}")


def take_apart(tree: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """Return the leaves of a tree, and the function that puts others in their places."""
    if type(tree) is dict:  # the usual tree, one dict of arrays, needs no walk
        keys, leaves = tuple(tree), list(tree.values())
        if not any(isinstance(leaf, BRANCHES) for leaf in leaves):
            return leaves, lambda others: dict(zip(keys, others, strict=True))
    elif not isinstance(tree, BRANCHES):
        return [tree], lambda others: others[0]
    return flatten(tree), lambda others: rebuild(tree, iter(others))


def flatten(tree: Any) -> list[Any]:
    """Return the leaves of a tree, in the order of their names in its :class:`Structure`."""
    if isinstance(tree, dict):
        branches: Iterable[Any] = tree.values()
    elif isinstance(tree, list | tuple):
        branches = tree
    else:
        return [tree]
    leaves: list[Any] = []
    for branch in branches:
        if isinstance(branch, dict | list | tuple):
            leaves += flatten(branch)
        else:
            leaves.append(branch)
    return leaves


def rebuild(tree: Any, leaves: Iterator[Any]) -> Any:
    """Return a tree like ``tree`` with the next of ``leaves`` at each leaf."""
    if isinstance(tree, dict):
        return {key: rebuild(branch, leaves) for key, branch in tree.items()}
    if isinstance(tree, list | tuple):
        branches = [rebuild(branch, leaves) for branch in tree]
        if isinstance(tree, list):
            return branches
        # A named tuple takes its fields one by one.
        return type(tree)(*branches) if hasattr(tree, "_fields") else tuple(branches)
    return next(leaves)
