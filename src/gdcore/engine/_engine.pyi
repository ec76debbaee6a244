from typing import Any, Self, final

import numpy as np

from ..trees import Structure

_Array = np.ndarray[Any, Any]

def update(
    rule: str, coefficients: tuple[float, ...], names: tuple[str | None, ...], arrays: tuple[Any, ...]
) -> None: ...

@final
class Engine:
    params: list[_Array]
    slots: list[dict[str, _Array]]
    specs: list[tuple[tuple[int, ...], np.dtype[Any], str]]
    def __new__(
        cls, structure: Structure, tree: Any, params: list[Any], members: list[int], groups: list[Any]
    ) -> Self: ...
    def step(self, grads: Any, only_checked: bool = False) -> list[Any] | None: ...
    @property
    def t(self) -> int: ...
    def snapshot(self) -> tuple[int, list[dict[str, _Array]], list[tuple[Any, ...]]]: ...
    def restore(self, t: int, slots: list[dict[str, _Array]], ordered: list[tuple[Any, ...]]) -> None: ...
    def hold(self) -> bool: ...
    def let_go(self) -> None: ...
