"""``scipy.signal``: convolution and correlation in any number of dimensions."""

from functools import partial
from typing import Any

import numpy as np
from scipy import signal as plain_signal  # type: ignore[import-untyped,unused-ignore]

from ..derivatives import COMPLEX, HOLOMORPHIC, Gate, array
from .passing import instead_of, missing, refuse

__all__ = ["convolve", "correlate", "fftconvolve", "oaconvolve"]

of_complex = partial(instead_of, domain=COMPLEX)


def _full_of(x: Any, y: Any, method: str) -> Any:
    if method == "fft":
        return plain_signal.fftconvolve(x, y)
    return plain_signal.convolve(x, y, method=method)


def _pull(ans: Any, x: Any, y: Any, method: str) -> Any:
    """Return the pull to ``x``: the gradient, convolved with ``y`` backwards, where both overlap in full."""
    at = tuple(slice(m - 1, m - 1 + n) for m, n in zip(y.shape, x.shape, strict=True))
    return lambda g: _full(g, np.flip(y), method)[at]


_full: Gate = Gate(
    "gd.scipy.signal.convolve",
    _full_of,
    (_pull, lambda ans, x, y, method: _pull(ans, y, x, method)),
    domain=HOLOMORPHIC,
)


def _convolved(name: str, x: Any, y: Any, mode: str, method: str) -> Any:
    x, y = array(x), array(y)
    if x.ndim != y.ndim:
        raise ValueError(f"gd.scipy.signal.{name}: expected as many axes in both, got {x.ndim} and {y.ndim}")
    if mode not in {"full", "same", "valid"}:
        raise ValueError(f"gd.scipy.signal.{name}: mode: expected 'full', 'same' or 'valid', got {mode!r}")
    if x.ndim == 0:
        return x * y
    if 0 in {x.size, y.size}:
        raise ValueError(f"gd.scipy.signal.{name}: expected elements in both, got {x.shape} and {y.shape}")
    whole = _full(x, y, method)
    if mode == "full":
        return whole
    lengths = list(zip(x.shape, y.shape, strict=True))
    if mode == "same":
        return whole[tuple(slice((m - 1) // 2, (m - 1) // 2 + n) for n, m in lengths)]
    if not all(n >= m for n, m in lengths) and not all(n <= m for n, m in lengths):
        raise ValueError(
            f"gd.scipy.signal.{name}: mode: expected one to contain the other for 'valid', got {x.shape} and "
            f"{y.shape}"
        )
    return whole[tuple(slice(min(n, m) - 1, max(n, m)) for n, m in lengths)]


def _examples(draw: Any) -> list[tuple[Any, ...]]:
    return [
        (draw(4), draw(3)),
        (draw(3), draw(5), "same"),
        (draw(4, 3), draw(2, 2), "same"),
        (draw(4, 3), draw(2, 2), "valid"),
        (draw(2), draw(5), "valid"),
    ]


@of_complex(plain_signal.convolve, examples=_examples)
def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """Return the convolution, as ``scipy.signal.convolve``."""
    return _convolved("convolve", in1, in2, mode, method)


@of_complex(plain_signal.fftconvolve, examples=_examples)
def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Any:
    """Return the convolution by way of Fourier transforms, over all axes, as ``scipy.signal.fftconvolve``."""
    if axes is not None:
        refuse(
            "signal.fftconvolve", "axes", "along one axis, np.fft.irfft(np.fft.rfft(x, n) * np.fft.rfft(y, n), n)"
        )
    return _convolved("fftconvolve", in1, in2, mode, "fft")


@of_complex(plain_signal.oaconvolve, examples=_examples)
def oaconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Any:
    """Return the convolution, as ``scipy.signal.oaconvolve``."""
    if axes is not None:
        refuse("signal.oaconvolve", "axes", "without it all axes are convolved")
    return _convolved("oaconvolve", in1, in2, mode, "fft")


@of_complex(plain_signal.correlate, examples=_examples)
def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """Return the correlation, as ``scipy.signal.correlate``."""
    x, y = array(in1), array(in2)
    if y.dtype.kind == "c":
        y = np.conj(y)
    if mode == "valid" and x.ndim == y.ndim and all(n <= m for n, m in zip(x.shape, y.shape, strict=True)):
        return np.flip(_convolved("correlate", y, np.flip(x), mode, method))
    return _convolved("correlate", x, np.flip(y), mode, method)


def __getattr__(name: str) -> Any:
    missing(plain_signal, name, __name__)
