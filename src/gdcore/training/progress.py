"""A bar that shows how far a run is, drawn by tqdm (the extra ``cli``) where somebody looks at it."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Count = Callable[[], object]


@contextmanager
def counting(total: int | None, done: int, shown: bool | None) -> Iterator[Count | None]:
    """Give a function to call at each of ``total`` steps, ``done`` of them past; None where nothing is shown.

    ``total`` None is a number that nobody knows.

    ``shown`` None means: if standard error is a terminal and tqdm is there. True raises ImportError without tqdm.
    """
    if shown is False or (shown is None and not _stderr_is_terminal()):
        yield None
        return
    try:
        from tqdm.auto import tqdm  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415
    except ImportError as error:
        if shown is None:
            yield None
            return
        raise ImportError("progress: a bar needs tqdm: pip install 'gdcore[cli]'") from error
    with tqdm(total=total, initial=done, unit="step", leave=False, **_size()) as bar:
        yield bar.update


def write(line: str) -> None:
    """Print a line to standard output, above the bar if there is one."""
    if "tqdm" in sys.modules:
        sys.modules["tqdm"].tqdm.write(line, file=sys.stdout)
    else:
        print(line)
    sys.stdout.flush()


def _stderr_is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _size() -> dict[str, Any]:
    # A terminal that does not know its size says 0 by 0, and tqdm would draw a bar of that size.
    if not _stderr_is_terminal() or os.get_terminal_size(sys.stderr.fileno()).columns > 0:
        return {"dynamic_ncols": True}
    return {"ncols": 80, "nrows": 24}
