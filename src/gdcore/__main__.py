"""``python -m gdcore`` is ``gdcore``."""

import sys

from .cli.parser import main

sys.exit(main())
