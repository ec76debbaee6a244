from typing import Any, Self, final

import numpy as np

from ..trees import Structure

_Array = np.ndarray[Any, Any]

@final
class Engine:
    params: list[_Array]
    slots: list[dict[str, _Array]]
    specs: list[tuple[tuple[int, ...], np.dtype[Any], str]]
    def __new__(
        cls,
        structure: Structure,
        tree: Any,
        params: list[Any],
        members: list[int],
        groups: list[Any],
        memory: Any = None,
        master: bool = False,
    ) -> Self: ...
    away: int
    @property
    def skipped(self) -> int: ...
    def step(
        self, grads: Any, scale: Any, max_norm: Any, max_value: Any, skip_nonfinite: Any, zero: Any
    ) -> float | None: ...
    def check(self, grads: Any, give: bool = True) -> list[Any]: ...
    @property
    def t(self) -> int: ...
    def snapshot(self) -> tuple[int, list[dict[str, _Array]], list[tuple[Any, ...]]]: ...
    def restore(
        self, t: int, slots: list[dict[str, _Array]], ordered: list[tuple[Any, ...]], average: Any
    ) -> None: ...
    def hold(self) -> bool: ...
    def let_go(self) -> None: ...
