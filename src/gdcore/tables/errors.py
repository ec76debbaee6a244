"""What goes wrong with tables, and polars, which may be missing."""

from types import ModuleType


class TableError(ValueError):
    """A table that cannot be used as it is asked for."""


def polars() -> ModuleType:
    """Return polars, which is an extra."""
    try:
        import polars  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("reading a table needs polars: pip install 'gdcore[cli]'") from error
    return polars
