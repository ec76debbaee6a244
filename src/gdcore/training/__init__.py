"""The training process: loss, gradient, step, epochs, and what is told of them.

In go a function that gives loss and gradient, parameters, data and an optimizer; the parameters are trained in
place, and out comes a ``History``. Start reading at ``fit`` in ``fit.py``, which checks what it is given, then
``loop.py``, the loop over epochs and batches; ``run.py`` is where a run stands, ``resume.py`` how it goes to a
checkpoint and comes back; ``team.py`` says what is otherwise where several processes train together.
``descent.py`` is for functions without data.
"""

from .callbacks import ReduceOnPlateau
from .descent import OptimizeResult, minimize
from .divergence import DivergenceError
from .fit import fit
from .history import History
from .history import Record as Record
from .progress import write as write
from .resume import OtherRunError as OtherRunError
from .resume import ScheduleError as ScheduleError
from .resume import checksum as checksum
from .team import Callback as Callback
from .team import Team as Team
from .team import ValueAndGrad as ValueAndGrad
from .team import checked_loss as checked_loss
from .team import checked_pair as checked_pair

__all__ = ["DivergenceError", "History", "OptimizeResult", "ReduceOnPlateau", "fit", "minimize"]

for _name in __all__:  # what users see in tracebacks and pickles
    globals()[_name].__module__ = "gdcore"
