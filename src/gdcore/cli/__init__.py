"""The command line, ``gdcore`` or ``python -m gdcore``.

In go the words of a command line; out come what a command prints, its files and its exit status. Start reading
at ``main`` in ``parser.py``, which imports the one command that is called: ``train.py``, ``predict.py``,
``paths.py``, ``bench.py`` or ``info.py``. ``options.py`` has a row for each flag of ``train``, ``problem.py`` makes
of a table what can be trained, and ``report.py`` says how that goes.
``promise.py`` has the bits that all machines give.
"""

from .parser import main as main
