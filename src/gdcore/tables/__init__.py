"""Tables: CSV and Parquet files, what their columns are, and models that read them.

In goes a file; out come features and a target as arrays, and with a model, predictions in the table's own units.
Start reading at ``Table`` in ``table.py``, whose fields ``source.py`` takes out of files as people write them.
``account.py`` finds out what each column is, by the ways of writing in ``forms.py``; ``columns.py`` makes features
of them, and ``model.py`` is a network that knows them.
"""

from .account import Account as Account
from .account import Wishes as Wishes
from .account import account_of as account_of
from .columns import Columns as Columns
from .columns import said_missing as said_missing
from .columns import taken_for_missing as taken_for_missing
from .errors import TableError as TableError
from .forms import PLAIN as PLAIN
from .forms import Numbers as Numbers
from .forms import is_format as is_format
from .model import ModelError as ModelError
from .model import TableModel as TableModel
from .model import Target as Target
from .source import Dialect as Dialect
from .table import Table as Table
from .table import cut as cut
from .table import listed as listed
from .table import matrix as matrix
