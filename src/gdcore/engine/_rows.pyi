from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]

def summed(where: str, rows: Any, param: _Array) -> tuple[_Array, _Array]: ...
def of_arguments(rows: Any, grad: Any, param: _Array) -> tuple[_Array, _Array | None]: ...
