from collections.abc import Callable, Iterable
from typing import Any, final

Pull = Callable[[Any], Any]

@final
class Tape:
    nodes: list[Node]
    level: int
    foreign: bool
    def append(self, node: Node) -> None: ...
    def close(self) -> None: ...

@final
class Node:
    gate: Any
    links: tuple[tuple[Node, Pull], ...]
    owned: bool
    def __init__(self, gate: Any, links: tuple[tuple[Node, Pull], ...]) -> None: ...
    @property
    def grad(self) -> Any: ...
    @grad.setter
    def grad(self, value: Any) -> None: ...

def let_index_pull(function: Callable[[tuple[int, ...], int, tuple[Any, ...]], Pull]) -> None: ...
def walk_back(nodes: list[Node]) -> None: ...
def walk_back_again(nodes: Iterable[Node], *, stacked: bool) -> int: ...
