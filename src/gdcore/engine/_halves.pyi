from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]

def widened(array: _Array) -> _Array: ...
def narrowed(out: _Array, array: _Array) -> None: ...
