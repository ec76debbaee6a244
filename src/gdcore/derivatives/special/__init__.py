"""The rows of SciPy's ufuncs, ``scipy.special``: read when a traced value first meets one of them."""

from . import bessel, errors, exponentials, gammas  # noqa: F401  # their rows
