"""The same optimizers over the ranks of an MPI job: each holds a share of the state, all see the same parameters.

In go an optimizer's class, parameters and gradients, alike on all ranks; out comes the step that one process
would have made of the mean gradient. Start reading at ``ShardedOptimizer.step`` in ``optimizer.py``;
``partition.py`` says who owns what, ``exchange.py`` what goes between the ranks, ``share.py`` what one of them
holds; ``launch.py``, ``agreement.py``, ``waiting.py`` and ``interrupts.py`` are how ranks begin, agree, wait and
end; ``team.py`` is what a run of ``gd.fit`` does otherwise over them.
"""

from .agreement import TOLD as TOLD
from .agreement import agree as agree
from .checkpoint import load, save
from .launch import LAST_WORDS as LAST_WORDS
from .launch import PATIENCE as PATIENCE
from .launch import RankError as RankError
from .launch import end_job as end_job
from .launch import is_first as is_first
from .launch import only_first_speaks as only_first_speaks
from .launch import started as started
from .optimizer import ShardedOptimizer

__all__ = ["ShardedOptimizer", "load", "save"]

for _name in __all__:  # what users see in tracebacks and pickles
    globals()[_name].__module__ = __name__
