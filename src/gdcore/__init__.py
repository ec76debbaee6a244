"""Gradient-descent steps for NumPy arrays: compiled, fused, in place, the same bits on every machine."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__
from .optimizers import SGD, Adam, AdamW, Momentum, RMSProp
from .threads import get_num_threads, set_num_threads

if TYPE_CHECKING:
    from . import distributed, metrics, models, reference, schedules, updates
    from .batches import minibatches
    from .checkpoint import Checkpoint, CheckpointError, load, save
    from .checks import check_grads
    from .clipping import clip_by_global_norm, clip_by_value
    from .config import show_config
    from .derivatives import grad, hessian, hvp, jacobian, value_and_grad
    from .estimators import GDClassifier as GDClassifier
    from .estimators import GDRegressor as GDRegressor
    from .extensions import gate, rematerialise, stop_gradient
    from .gates_nets import (
        log_softmax,
        relu,
        sigmoid,
        softmax,
        softmax_cross_entropy,
        softplus,
        squared_error,
        tanh,
    )
    from .history import History
    from .runs import DivergenceError
    from .training import fit

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
    "batches": "minibatches",
    "checkpoint": "Checkpoint CheckpointError load save",
    "checks": "check_grads",
    "clipping": "clip_by_global_norm clip_by_value",
    "config": "show_config",
    "derivatives": "grad hessian hvp jacobian value_and_grad",
    "estimators": "GDClassifier GDRegressor",  # not in __all__: importing everything must not need scikit-learn
    "extensions": "gate rematerialise stop_gradient",
    "gates_nets": "log_softmax relu sigmoid softmax softmax_cross_entropy softplus squared_error tanh",
    "history": "History",
    "runs": "DivergenceError",
    "training": "fit",
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
