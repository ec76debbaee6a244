"""Gradient-descent steps for NumPy arrays: compiled, fused, in place, the same bits on every machine."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__
from .engine.threads import get_num_threads, set_num_threads
from .optimizers import SGD, Adam, AdamW, Momentum, RMSProp

if TYPE_CHECKING:
    from . import distributed, metrics, models, reference, schedules, updates
    from .checkpoints.checkpoint import Checkpoint, CheckpointError, load, save
    from .clipping import clip_by_global_norm, clip_by_value
    from .derivatives.check import check_grads
    from .derivatives.extend import gate, rematerialise, stop_gradient
    from .derivatives.gates.nets import (
        log_softmax,
        relu,
        sigmoid,
        softmax,
        softmax_cross_entropy,
        softplus,
        squared_error,
        tanh,
    )
    from .derivatives.operators import grad, hessian, hvp, jacobian, value_and_grad
    from .engine.variants import show_config
    from .models.estimators import GDClassifier as GDClassifier
    from .models.estimators import GDRegressor as GDRegressor
    from .training.batches import minibatches
    from .training.divergence import DivergenceError
    from .training.fit import fit
    from .training.history import History

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Checkpoint",
    "CheckpointError",
    "DivergenceError",
    "History",
    "Momentum",
    "RMSProp",
    "check_grads",
    "clip_by_global_norm",
    "clip_by_value",
    "distributed",
    "fit",
    "gate",
    "get_num_threads",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "load",
    "log_softmax",
    "metrics",
    "minibatches",
    "models",
    "reference",
    "relu",
    "rematerialise",
    "save",
    "schedules",
    "set_num_threads",
    "show_config",
    "sigmoid",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "squared_error",
    "stop_gradient",
    "tanh",
    "updates",
    "value_and_grad",
]

# What a step does not need is imported at its first use, so that importing gdcore takes little longer than NumPy.
_MODULES = ("distributed", "metrics", "models", "reference", "schedules", "updates")
_NAMES = {
    "training.batches": "minibatches",
    "checkpoints.checkpoint": "Checkpoint CheckpointError load save",
    "derivatives.check": "check_grads",
    "clipping": "clip_by_global_norm clip_by_value",
    "engine.variants": "show_config",
    "derivatives.operators": "grad hessian hvp jacobian value_and_grad",
    # Not in __all__, as importing everything must not need scikit-learn.
    "models.estimators": "GDClassifier GDRegressor",
    "derivatives.extend": "gate rematerialise stop_gradient",
    "derivatives.gates.nets": "log_softmax relu sigmoid softmax softmax_cross_entropy softplus squared_error tanh",
    "training.history": "History",
    "training.divergence": "DivergenceError",
    "training.fit": "fit",
}
_LAZY = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_LAZY[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
