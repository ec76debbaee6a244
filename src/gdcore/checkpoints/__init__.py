"""Checkpoints: all that a run needs to go on, in one file, whole or not at all.

In go a tree of parameters, an optimizer, a generator, plain values; out comes a ``.npz`` or a ``.safetensors``
with a seal over all its bytes, and back. Start reading at ``save`` in ``checkpoint.py``, which turns all of it
into plain values and named arrays (``values.py``, ``generators.py``); ``formats.py`` writes and reads the
sealed file, ``npz.py`` and ``safetensors.py`` are its two kinds.
"""

from .checkpoint import Checkpoint, load, save
from .checkpoint import check_path as check_path
from .checkpoint import read as read
from .checkpoint import restore as restore
from .container import CheckpointError
from .generators import state_of as state_of
from .values import encode as encode

__all__ = ["Checkpoint", "CheckpointError", "load", "save"]

for _name in __all__:  # what users see in tracebacks and pickles
    globals()[_name].__module__ = "gdcore"
