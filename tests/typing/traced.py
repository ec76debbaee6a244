"""Traced values declare what they can do: for those who read and extend gdcore."""

from gdcore.derivatives._traced import Traced


def right(x: Traced) -> None:
    """Operators, methods, attributes."""
    y = -x + 2 * x @ x.T / (x**2) - abs(x) % 3.0
    y = x[0] + x.reshape(2, -1).sum(axis=0).mean() + x.shape[0]
    print(y, x > 1.0, x // 2, len(x), list(x), x.dtype, x.mT)


def wrong(x: Traced) -> None:
    """What they cannot do, or not without losing the gradient."""
    x.byteswap  # type: ignore[attr-defined]  # noqa: B018
    x & 1  # type: ignore[operator]
    x.shape = (2,)  # type: ignore[misc]
    ~x  # type: ignore[operator]  # noqa: B018
