"""What is said of the error that ends a command, once for all ranks, and the exit status that follows."""

import sys
import time

from ..distributed import LAST_WORDS, PATIENCE, TOLD, RankError, end_job, is_first
from ..tables import ModelError, TableError
from .errors import FAILURE, INTERRUPTED, CommandError


def ended_by(error: BaseException) -> int:
    """Say in one line what went wrong, and return the exit status; raise what is an error of gdcore itself."""
    if isinstance(error, CommandError):
        return _ended(error, str(error), error.status)
    if isinstance(error, KeyboardInterrupt):
        return _ended(error, "interrupted", INTERRUPTED)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return _ended(error, f"{place}{error.strerror or error}")
    if isinstance(error, UnicodeEncodeError):
        not_taken = error.object[error.start : error.end]
        return _ended(error, f"the output takes {error.encoding} alone, not {not_taken!a}")
    if isinstance(error, TableError | ModelError | ImportError | MemoryError | RankError):
        return _ended(error, str(error) or "out of memory")
    raise error


def _ended(error: BaseException, message: str, status: int = FAILURE) -> int:
    alike = isinstance(error, CommandError | KeyboardInterrupt | RankError)
    if (alike or TOLD in getattr(error, "__notes__", ())) and not is_first():
        time.sleep(LAST_WORDS)
        end_job(status, PATIENCE)
    else:
        print(f"gdcore: {'' if status == INTERRUPTED else 'error: '}{message}", file=sys.stderr, flush=True)
        end_job(status)
    return status
