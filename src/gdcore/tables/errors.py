"""What goes wrong with tables, and polars, which may be missing."""

from typing import Any, Final


class TableError(ValueError):
    """A table that cannot be used as it is asked for."""


class _Polars:
    """The module, imported at its first use: tables are of the extra ``cli``."""

    def __getattr__(self, name: str) -> Any:
        need_polars()
        import polars  # noqa: PLC0415

        value = self.__dict__[name] = getattr(polars, name)
        return value


polars: Final = _Polars()


def need_polars() -> None:
    """Raise ImportError, saying what to install, where there is no polars."""
    try:
        import polars  # noqa: F401, PLC0415
    except ImportError as error:
        raise ImportError("reading a table needs polars: pip install 'gdcore[cli]'") from error
