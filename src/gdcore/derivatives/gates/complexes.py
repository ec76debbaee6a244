"""The gates of what takes complex numbers apart: parts, conjugates, angles, signs.

The angle and the sign of 0 have the gradient 0; those of real numbers are constants.
"""

from typing import Any

import numpy as np

from .._gate import COMPLEX, Gate, conj
from .._traced import real
from ..joining import array
from .arithmetic import same
from .table import elementwise, of_complex, row


def _examples(draw: Any) -> list[tuple[Any, ...]]:
    return [(draw(2, 3),), (draw(),)]


elementwise(np.conjugate, lambda ans, x: conj, domain=COMPLEX)

_real: Gate = row(
    np.real,
    lambda ans, x: same,
    forward=lambda x: x.real,
    entry=lambda val: _real_part(val),  # noqa: PLW0108  # declared below
    examples=_examples,
    stacks=True,
    domain=COMPLEX,
)
_imag: Gate = row(
    np.imag,
    lambda ans, x: lambda g: g * 1j,
    forward=lambda x: x.imag,
    entry=lambda val: _imag_part(val),  # noqa: PLW0108  # declared below
    examples=_examples,
    stacks=True,
    domain=COMPLEX,
)


def _real_part(x: Any) -> Any:
    x = array(x)
    return _real(x) if np.iscomplexobj(real(x)) else x


def _imag_part(x: Any) -> Any:
    x = array(x)
    return _imag(x) if np.iscomplexobj(real(x)) else np.imag(real(x))


@of_complex(np.real_if_close, examples=_examples)
def _real_if_close(a: Any, tol: float = 100) -> Any:
    a = array(a)
    return a if np.iscomplexobj(np.real_if_close(real(a), tol)) else a.real


@of_complex(np.angle, examples=_examples)
def _angle(z: Any, deg: bool = False) -> Any:
    plain = np.asarray(real(z := array(z)))
    if plain.dtype.kind != "c":
        return np.angle(plain, deg)
    zero = plain == 0
    z = np.where(zero, 1, z) if zero.any() else z
    ans = np.arctan2(z.imag, z.real)
    return ans * (180 / np.pi) if deg else ans


@of_complex(np.sign, examples=_examples)
def _sign(x: Any) -> Any:
    plain = np.asarray(real(x := array(x)))
    if plain.dtype.kind != "c":
        return np.sign(plain)[()]
    zero = plain == 0
    return np.where(zero, 0, x) / np.where(zero, 1, np.abs(x))
