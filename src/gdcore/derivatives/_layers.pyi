from collections.abc import Callable
from typing import Any, final

from ._gate import Gate
from ._traced import Element

@final
class Matmul(Element):
    gate: Gate
    def __init__(self, gate: Gate, other: Callable[[Any, Any], Any]) -> None: ...
    def __call__(self, x: Any, y: Any) -> Any: ...

@final
class Dense:
    gate: Gate
    def __init__(self, gate: Gate, slopes: dict[str, tuple[Gate, bool]]) -> None: ...
    def __call__(self, x: Any, w: Any, b: Any, activation: str | None) -> Any: ...

@final
class CrossEntropy:
    gate: Gate
    def __init__(self, gate: Gate) -> None: ...
    def __call__(self, x: Any, labels: Any) -> Any: ...
