"""Kernels of nets: compiled loops around the products, once for each level of CPU, as those of the rules are.

In go plain arrays, contiguous and of float32 or float64; out come the bits of the twins in NumPy, whatever the CPU.
Start reading at ``reference.py``, which says what each kernel computes and in which order sums are taken, and at
``functions.py``, for the elementary functions; ``_rows.pxd``, ``_planes.pxd`` and ``_functions.pxd`` are the same
compiled, ``_net_kernels.pyx`` is their table, and ``_door.pyx`` checks every array before a kernel sees it.
"""

from ._door import activate as activate
from ._door import activate_back as activate_back
from ._door import alone as alone
from ._door import cross_entropy as cross_entropy
