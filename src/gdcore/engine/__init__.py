"""How a step runs: every array checked, its kernel chosen, driven over memory by one thread or several.

In go the arrays of an optimizer, its rule's name and coefficients; out comes a step that is done as a whole or
not at all. Only this folder reaches the kernels. Start reading at ``Engine.step`` in ``_engine.pyx``, which is
all of a step; the checks are in ``_arrays.pxd`` and, for what is unusual, in ``arrays.py`` and ``overlaps.py``;
``_stages.pyx`` says what a step does beside its rule, and ``_norm.pyx`` finds the norm of its gradients;
``_plan.pyx`` chooses how it is driven, ``_drive.pxd`` drives it, ``_pool.pyx`` lends it threads, and
``variants.py`` has picked the kernels for this CPU, which ``_exported.pyx`` shows to other compiled code.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ._engine import Engine as Engine
from ._halves import narrowed as narrowed
from ._lent import are as are
from ._lent import seen as seen
from ._norm import multiply as multiply
from ._norm import norm as norm
from ._rows import each_once as each_once
from ._update import update as update
from .arrays import check_like as check_like
from .arrays import check_writable as check_writable
from .config import show_config
from .identity import check_among as check_among
from .identity import check_same_memory as check_same_memory
from .overlaps import check_disjoint as check_disjoint
from .threads import get_num_threads, set_num_threads
from .variants import kernels_of as kernels_of

__all__ = ["get_num_threads", "set_num_threads", "show_config"]

for _name in __all__:  # what users see in tracebacks and pickles
    globals()[_name].__module__ = "gdcore"

if TYPE_CHECKING:
    from . import _exported as exported  # noqa: F401
else:

    def __getattr__(name):  # what a step does not need is imported at its first use
        if name != "exported":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module("._exported", __name__)
