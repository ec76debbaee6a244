from typing import Any

import numpy as np

_Arrays = list[np.ndarray[Any, Any]] | list[np.ndarray[Any, Any] | None]

def norm(arrays: _Arrays) -> float: ...
def multiply(outs: _Arrays, arrays: _Arrays, factor: float, divisor: float) -> None: ...
