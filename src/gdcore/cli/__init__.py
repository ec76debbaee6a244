"""The command line, ``gdcore`` or ``python -m gdcore``.

In go the words of a command line; out come what a command prints, its files and its exit status. Start reading
at ``main`` in ``parser.py``; each command has a file of its own: ``train.py``, ``predict.py``, ``paths.py``,
``bench.py``.
"""

from .parser import main as main
