from collections.abc import Callable
from typing import Any, NoReturn

from typing_extensions import disjoint_base

from ._tape import Node, Pull, Tape
from ._traced import Element, Traced

Vjp = Callable[..., Pull]

REAL: int
COMPLEX: int
HOLOMORPHIC: int

@disjoint_base
class Gate:
    name: str
    forward: Callable[..., Any]
    saving: Callable[..., tuple[Any, Any]] | None
    vjps: tuple[Vjp | None, ...]
    variadic: bool
    stacks: bool
    foreign: bool
    domain: int
    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        vjps: tuple[Vjp | None, ...],
        *,
        variadic: bool = False,
        stacks: bool = False,
        foreign: bool = False,
        saving: Callable[..., tuple[Any, Any]] | None = None,
        domain: int = 0,
    ) -> None: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def pull(self, i: int, ans: Any, values: list[Any], kwargs: dict[str, Any]) -> Pull: ...
    def refuse_argument(self, i: int) -> NoReturn: ...

@disjoint_base
class Called(Element):
    def __init__(self, gate: Callable[..., Any]) -> None: ...
    def __call__(self, *args: Any) -> Any: ...

@disjoint_base
class OfReals:
    def __init__(self, name: str, way: Callable[..., Any]) -> None: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

def conj(x: Any) -> Any: ...
def of_dtype(d: Any, dtype: Any) -> Any: ...
def join(x: Any) -> Any: ...
def fused(gate: Gate) -> Callable[[Any, Any], Any]: ...
def leave_node(tape: Tape, gate: Any, ans: Any, links: tuple[tuple[Node, Pull], ...]) -> Traced: ...
def check_result(gate: Any, ans: Any) -> None: ...
def cast(pull: Pull, dtype: Any) -> Pull: ...
def shrink(pull: Pull, ans_shape: tuple[int, ...], shape: tuple[int, ...]) -> Pull: ...
def broadcast_axes(ans_shape: tuple[int, ...], shape: tuple[int, ...]) -> tuple[Any, int | None]: ...
def reshape_after(g: Any, ndim: int, shape: tuple[int, ...]) -> Any: ...
