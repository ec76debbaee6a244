"""The table of gates, one row each, and the methods of traced values that follow from it.

``table.py`` says what a row is; the other files hold the rows. All are registered here, with the folder,
so that whoever sees one gate sees all.
"""

from . import activations, arithmetic, indexing, layers, linalg, nets, pictures, reductions, shapes  # noqa: F401  # their rows

from . import methods  # noqa: F401  # looks the rows up  # isort: skip
