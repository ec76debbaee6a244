"""The table of gates, one row each, and the registry that makes the ways of traced values of it.

``table.py`` says what a row is; ``arithmetic.py`` and the others hold the rows, and register nothing themselves.
All are registered here, together, before anything can be differentiated or a user's gate be added: who sees one
gate sees all.
"""

from . import (  # noqa: F401  # their rows
    activations,
    arithmetic,
    complexes,
    decompositions,
    determinants,
    fourier,
    indexing,
    layers,
    linalg,
    matrices,
    moves,
    nets,
    pictures,
    polynomials,
    reductions,
    sequences,
    shapes,
    statistics,
    ufuncs,
)

from . import registry  # isort: skip  # when all rows are there
from .registry import dispatched as dispatched
from .registry import register as register

registry.register_rows()
