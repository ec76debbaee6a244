"""Gradient-descent steps for NumPy arrays: compiled, fused, in place, the same bits on every machine."""

from importlib import import_module
from typing import TYPE_CHECKING

from . import _together as _together  # before all that is compiled
from ._version import __version__ as __version__
from .engine import get_num_threads, set_num_threads, show_config
from .optimizers import *
from .optimizers import __all__ as _optimizers

# What a step does not need is imported at its first use, so that importing gdcore takes little longer than NumPy.
_MODULES = ("distributed", "kernels", "metrics", "models", "reference", "schedules", "scipy", "updates")
_NAMES = {
    "checkpoints": "Checkpoint CheckpointError load save",
    "data": "minibatches",
    "clipping": "clip_by_global_norm clip_by_value",
    "derivatives": "check_grads conv2d dense dropout elementwise_grad embedding flatten gate gelu grad hessian hvp "
    "jacobian jvp layer_norm log_softmax logsumexp max_pool2d relu rematerialise sigmoid silu softmax "
    "softmax_cross_entropy softplus squared_error stop_gradient tanh value_and_grad value_and_grads vjp",
    "halves": "bfloat16",
    "rows": "Rows",
    "training": "DivergenceError History OptimizeResult ReduceOnPlateau fit minimize",
}
_LATE = {name: folder for folder, names in _NAMES.items() for name in names.split()}

__all__ = ["get_num_threads", "set_num_threads", "show_config", *_optimizers, *_LATE, *_MODULES]

# Not in __all__, as importing everything must not need scikit-learn.
_LATE |= {"GDClassifier": "models", "GDRegressor": "models"}

if TYPE_CHECKING:  # the same names, as type checkers find them; a test compares
    from . import distributed, kernels, metrics, models, reference, schedules, scipy, updates
    from .checkpoints import *
    from .clipping import *
    from .data import *
    from .derivatives import *
    from .halves import *
    from .models import GDClassifier as GDClassifier
    from .models import GDRegressor as GDRegressor
    from .rows import *
    from .training import *
else:

    def __getattr__(name):
        if name in _MODULES:
            return import_module(f".{name}", __name__)
        if name not in _LATE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f".{_LATE[name]}", __name__), name)
        return value


def __dir__() -> list[str]:
    # What is public, and what Python itself puts here: not what the lines above need, nor every module imported.
    return sorted({*(name for name in globals() if name[:2] == name[-2:] == "__"), *__all__, *_LATE})
