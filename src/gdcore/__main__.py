"""``python -m gdcore`` is ``gdcore``."""

import sys

from .cli import main

sys.exit(main())
