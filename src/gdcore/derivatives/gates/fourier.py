"""The gates of ``np.fft``.

Transforms in several axes are those along one after the other, as in NumPy.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from .._gate import COMPLEX, HOLOMORPHIC, REAL, Gate, conj, of_dtype
from .._tape import Pull
from ..joining import array
from .table import derived, of_complex, parted

OPPOSITE: Final[dict[Any, Any]] = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}
"""The norm of the inverse transform that is the same sum, as NumPy names it."""


def _fitted(g: Any, n: int, axis: int) -> Any:
    """Return ``g`` with ``n`` elements along an axis that counts from the end: cut off, or with zeros behind."""
    behind = (slice(None),) * (-axis - 1)
    if g.shape[axis] < n:
        shape = list(g.shape)
        shape[axis] = n - shape[axis]
        return np.concatenate([g, np.zeros(shape, g.dtype)], axis)
    return g[(..., slice(n), *behind)]


def _pull_fourier(transform: Any) -> Any:
    # The matrix of the transform is symmetric.
    def vjp(ans: Any, x: Any, n: int, axis: int, norm: Any) -> Pull:
        return lambda g: _fitted(transform(g, n, axis, norm), x.shape[axis], axis)

    return vjp


def _pull_irfft(ans: Any, x: Any, n: int, axis: int, norm: Any) -> Pull:
    # All frequencies count twice, once for their conjugate, but for the first and, of an even n, the last.
    weights = np.full(n // 2 + 1, 2.0)
    weights[0] = 1
    weights[-1] = 1 if n % 2 == 0 or n == 1 else 2
    weights = weights.astype(ans.dtype).reshape((-1,) + (1,) * (-axis - 1))

    def pull(g: Any) -> Any:
        back = np.fft.rfft(g, n, axis, OPPOSITE[norm]) * weights
        return of_dtype(_fitted(back, x.shape[axis], axis), x.dtype)

    return pull


def _gate(function: Any, vjp: Any, domain: int) -> Gate:
    return Gate(f"np.fft.{function.__name__}", function, (vjp,), stacks=True, domain=domain)


_fft = _gate(np.fft.fft, _pull_fourier(np.fft.fft), HOLOMORPHIC)
_ifft = _gate(np.fft.ifft, _pull_fourier(np.fft.ifft), HOLOMORPHIC)
_rfft = _gate(np.fft.rfft, _pull_fourier(np.fft.fft), HOLOMORPHIC)
_irfft = _gate(np.fft.irfft, _pull_irfft, COMPLEX)


def _examples(draw: Any) -> list[tuple[Any, ...]]:
    return [
        (draw(4),), (draw(5),), (draw(3), 5), (draw(5), 3), (draw(5), 4), (draw(3, 4), None, 0),
        (draw(2, 3), 4, -1, "ortho"), (draw(4), {"norm": "forward"}), (draw(4), {"n": 6, "norm": "backward"}),
    ]  # fmt: skip


def _length(x: Any, n: Any, axis: int) -> int:
    return int(x.shape[axis] if n is None else n)


def _half_length(x: Any, n: Any, axis: int) -> int:
    return int(2 * (x.shape[axis] - 1) if n is None else n)


def _along(
    function: Any, gate: Gate, length: Callable[[Any, Any, int], int] = _length, domain: int = COMPLEX
) -> Callable[..., Any]:
    """Register the way through a transform along one axis; return it."""

    def entry(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: None = None) -> Any:
        a = array(a)
        axis = axis - a.ndim if axis >= 0 else axis
        return gate(a, n=length(a, n, axis), axis=axis, norm=norm, out=out)

    derived(function, examples=_examples, of=parted(function), domain=domain)(entry)
    return entry


fft, ifft = _along(np.fft.fft, _fft), _along(np.fft.ifft, _ifft)
rfft, irfft = _along(np.fft.rfft, _rfft, domain=REAL), _along(np.fft.irfft, _irfft, _half_length)


@of_complex(np.fft.hfft, examples=_examples)
def _hfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: None = None) -> Any:
    return irfft(conj(array(a)), n, axis, OPPOSITE[norm], out)


@derived(np.fft.ihfft, examples=_examples, of=parted(np.fft.ihfft))
def _ihfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: None = None) -> Any:
    return conj(rfft(a, n, axis, OPPOSITE[norm], out))


# In several axes.


def _places(a: Any, s: Any, axes: Any, half: bool = False) -> list[tuple[int, int]]:
    """Return the length and the axis of each transform; of the last, half of what a real one has if ``half``."""
    if axes is None:
        axes = range(-(a.ndim if s is None else len(s)), 0)
    whole = [a.shape[axis] for axis in axes]
    if half:
        whole[-1] = 2 * (whole[-1] - 1)
    lengths = whole if s is None else [own if n in {None, -1} else n for n, own in zip(s, whole, strict=True)]
    return list(zip(lengths, axes, strict=True))


def _over(function: Any, gate: Callable[..., Any], axes: Any, examples: Any) -> None:
    """Register the way through a complex transform in several axes, by default ``axes``."""

    def entry(a: Any, s: Any = None, axes: Any = axes, norm: Any = None, out: None = None) -> Any:
        a = array(a)
        for n, axis in reversed(_places(a, s, axes)):
            a = gate(a, n, axis, norm, out)
        return a

    of_complex(function, examples=examples, of=parted(function))(entry)


def _over_real(function: Any, axes: Any, examples: Any) -> None:
    def entry(a: Any, s: Any = None, axes: Any = axes, norm: Any = None, out: None = None) -> Any:
        a = array(a)
        *others, (last, axis) = _places(a, s, axes)
        a = rfft(a, last, axis, norm, out)
        for n, other in reversed(others):
            a = fft(a, n, other, norm, out)
        return a

    derived(function, examples=examples, of=parted(function))(entry)


def _over_half(function: Any, axes: Any, examples: Any) -> None:
    def entry(a: Any, s: Any = None, axes: Any = axes, norm: Any = None, out: None = None) -> Any:
        a = array(a)
        *others, (last, axis) = _places(a, s, axes, half=True)
        for n, other in others:
            a = ifft(a, n, other, norm, out)
        return irfft(a, last, axis, norm, out)

    of_complex(function, examples=examples)(entry)


def _some_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [
        (draw(2, 3),), (draw(3, 4),), (draw(2, 3, 2), None, (0, 1)), (draw(2, 3), (3, 4), (1, 0), "ortho"),
        (draw(2, 3), {"norm": "forward"}),
    ]  # fmt: skip


def _plane_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [*_some_examples(draw), (draw(2, 3), (3, 2))]


def _space_examples(draw: Any) -> list[tuple[Any, ...]]:
    return [*_some_examples(draw), (draw(2, 2, 3),), (draw(4), None, (0,)), (draw(2, 3), (4,), (-1,))]


for _function, _way in ((np.fft.fft2, fft), (np.fft.ifft2, ifft)):
    _over(_function, _way, (-2, -1), _plane_examples)
for _function, _way in ((np.fft.fftn, fft), (np.fft.ifftn, ifft)):
    _over(_function, _way, None, _space_examples)
_over_real(np.fft.rfft2, (-2, -1), _plane_examples)
_over_real(np.fft.rfftn, None, _space_examples)
_over_half(np.fft.irfft2, (-2, -1), _plane_examples)
_over_half(np.fft.irfftn, None, _space_examples)
