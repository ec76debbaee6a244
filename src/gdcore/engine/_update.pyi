from typing import Any

def update(
    rule: str,
    coefficients: tuple[float, ...],
    names: tuple[str | None, ...],
    arrays: tuple[Any, ...],
    rows: Any = None,
) -> None: ...
