"""Tables: CSV and Parquet files, what their columns are, and models that read them.

In goes a file; out come features and a target as arrays, and with a model, predictions in the table's own
units. Start reading at ``Table`` in ``table.py``; ``columns.py`` makes features of its columns, ``model.py`` is
a network that knows them.
"""

from .columns import Columns as Columns
from .columns import said_missing as said_missing
from .model import ModelError as ModelError
from .model import TableModel as TableModel
from .model import Target as Target
from .table import Table as Table
from .table import TableError as TableError
