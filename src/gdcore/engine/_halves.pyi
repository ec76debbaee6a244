from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
HALF_DTYPES: dict[str, np.dtype[Any]]

def widened(array: _Array) -> _Array: ...
def narrowed(out: _Array, array: _Array) -> None: ...
