"""Models for tables: linear, logistic, softmax, and the multilayer perceptron; with scikit-learn as its estimators.

In go samples, one a row, and targets; ``outputs`` and ``loss`` are a model's specification, in functions that
can be differentiated, and ``value_and_grad`` is the same by hand. Start reading at ``Network`` in
``networks.py``; ``tasks.py`` has the losses, ``estimators.py`` what scikit-learn's users call and ``learner.py``
their run, ``choices.py`` what they and the command line choose from, ``holdout.py`` which samples are held out,
``weighing.py`` what samples weigh, ``rows.py`` what is otherwise where they are sparse, ``outcome.py`` what is
said of a run at its end.
"""

from typing import TYPE_CHECKING

from .choices import LEAST_EPOCHS as LEAST_EPOCHS
from .choices import LEAST_STEPS as LEAST_STEPS
from .choices import OPTIMIZERS as OPTIMIZERS
from .choices import SCHEDULES as SCHEDULES
from .choices import default_epochs as default_epochs
from .holdout import held_out as held_out
from .networks import ACTIVATIONS, MLP, Linear, Logistic, Network, Softmax, from_config
from .outcome import constant_error as constant_error
from .outcome import least_squares as least_squares
from .outcome import shortcomings as shortcomings
from .scaling import Scaling as Scaling
from .weighing import balanced as balanced
from .weighing import check_sum as check_sum
from .weighing import of_mean_one as of_mean_one

if TYPE_CHECKING:
    from .estimators import GDClassifier as GDClassifier
    from .estimators import GDRegressor as GDRegressor

__all__ = ["ACTIVATIONS", "MLP", "Linear", "Logistic", "Network", "Softmax", "from_config"]

for _name in set(__all__) - {"ACTIVATIONS"}:  # what users see in tracebacks and pickles
    globals()[_name].__module__ = __name__


def __getattr__(name: str) -> object:
    if name not in {"GDClassifier", "GDRegressor"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from . import estimators  # noqa: PLC0415  # scikit-learn is an extra
    except ImportError as error:
        raise ImportError("estimators need scikit-learn 1.6 or newer: pip install 'gdcore[sklearn]'") from error

    return getattr(estimators, name)
