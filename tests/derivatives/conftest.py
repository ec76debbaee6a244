"""The table of gates with SciPy's rows, where SciPy is installed: they are read when they are first needed."""

from importlib import import_module
from importlib.util import find_spec

if find_spec("scipy"):
    from gdcore import scipy
    from gdcore.derivatives.later import read_later

    for name in scipy.__all__:
        import_module(f"gdcore.scipy.{name}")
    read_later()
