from collections.abc import Callable
from typing import Any, final

Pull = Callable[[Any], Any]

@final
class Tape:
    nodes: list[Node]
    level: int
    foreign: bool
    @property
    def is_open(self) -> bool: ...
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
