"""The methods of ``ndarray`` on traced values: each is the function of NumPy that bears its name."""

from typing import Any

import numpy as np

from .._traced import GATES, METHODS, PROPERTIES
from .shapes import astype

NAMES = (
    "all any argmax argmin argsort clip copy cumsum diagonal dot max mean min nonzero prod ravel repeat "
    "round searchsorted squeeze std sum swapaxes take trace var"
)


def _method(entry: Any) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return entry(self, *args, **kwargs)  # a gate is no function, and would not be bound

    return method


def _reshape(self: Any, *shape: Any, **options: Any) -> Any:
    return GATES[np.reshape](self, shape[0] if len(shape) == 1 else shape, **options)


def _transpose(self: Any, *axes: Any) -> Any:
    return GATES[np.transpose](self, (axes[0] if len(axes) == 1 else axes) or None)


for _name in NAMES.split():
    METHODS[_name] = _method(GATES[getattr(np, _name)])
METHODS.update(astype=astype, reshape=_reshape, transpose=_transpose, flatten=_method(GATES[np.ravel]))
PROPERTIES.update(T=_transpose, mT=GATES[np.matrix_transpose])
