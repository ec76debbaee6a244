from collections.abc import Callable
from typing import Any, final

from ._gate import Gate
from ._traced import Element, Traced

@final
class Elementwise(Element):
    gate: Gate
    def __init__(
        self, gate: Gate, function: Callable[..., Any], activation: str | None = None, *, by_result: bool = False
    ) -> None: ...
    def __call__(self, x: Any, *more: Any) -> Any: ...

@final
class Index:
    gate: Gate
    def __init__(self, gate: Gate, plain: Callable[[Any], tuple[tuple[Any, ...], bool]]) -> None: ...
    def __call__(self, x: Traced, at: Any) -> Any: ...

@final
class Total:
    gate: Gate
    def __init__(self, gate: Gate, other: Callable[..., Any], *, mean: bool) -> None: ...
    def __call__(self, x: Any, *more: Any, **options: Any) -> Any: ...
