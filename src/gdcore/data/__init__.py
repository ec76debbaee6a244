"""The data of a run: samples in whatever library holds them, and sources of batches.

In go arrays, frames, tensors, files and loaders; out come batches of NumPy arrays (and of rows of sparse matrices).
Start reading at ``as_column`` in ``columns.py``, which says what a thing becomes; ``batches.py`` puts columns into
batches, in order or shuffled, ``sources.py`` takes what yields batches by itself, and ``ahead.py`` reads ahead of
the steps.
"""

from .ahead import ahead as ahead
from .batches import batches_from as batches_from
from .batches import minibatches
from .columns import as_column as as_column
from .columns import contents as contents
from .columns import count as count
from .columns import hold_out as hold_out
from .columns import pieces as pieces
from .columns import whole as whole
from .sources import Batches as Batches
from .sources import Samples as Samples
from .sources import as_source as as_source

__all__ = ["minibatches"]

minibatches.__module__ = "gdcore"
