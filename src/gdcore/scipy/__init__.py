"""SciPy's functions for traced values, under SciPy's own names: what is no ufunc, as ufuncs work by themselves.

``gd.scipy.special``, ``stats``, ``linalg``, ``signal``, ``integrate`` and ``optimize`` hold functions that take
what SciPy's take. Where nothing is traced, SciPy's own function is called; where something is, the same values come
out of gates. Start reading at ``special.py``, then ``distributions/common.py``, ``steps.py`` (differential
equations) and ``implicit.py`` (roots). docs/scipy.md says what is differentiated, and how exactly. SciPy is an
extra, ``scipy``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import integrate, linalg, optimize, signal, special, stats

__all__ = ["integrate", "linalg", "optimize", "signal", "special", "stats"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    try:
        return import_module(f".{name}", __name__)
    except ModuleNotFoundError as error:
        if error.name != "scipy":
            raise
        raise ImportError(f"gd.scipy.{name} needs SciPy: pip install 'gdcore[scipy]'") from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
