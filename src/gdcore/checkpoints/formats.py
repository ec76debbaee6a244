"""The containers of checkpoints: a text and named arrays <-> one sealed file, ``.npz`` or ``.safetensors``.

The text is JSON: ``{"format": ..., "arrays": {name: {"dtype": "<f4", "shape": [64, 10]}}, "content": ...}``. It
says what every header in the file has to be, so that a reader compares headers and trusts none: sizes are known to
be those of the file before any array is made.

The seal is the SHA-256 of all other bytes of the file: 64 hexadecimal digits behind a mark.
"""

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from ..arguments import BFLOAT16, describe
from ..files import check_regular, replacing
from ..trees import where
from .container import CHUNK, DIGITS, FORMAT, Array, CheckpointError, Choose, Container
from .npz import NPZ
from .safetensors import SAFETENSORS


def container_of(path: str | Path, called: str = "path") -> Container:
    """Return the container that ``path`` is named like. Raises ValueError for another name."""
    container = CONTAINERS.get(Path(path).suffix.lower())
    if container is None:
        raise ValueError(f"{called}: expected a file named *{' or *'.join(CONTAINERS)}, got {str(path)!r}")
    return container


def write(path: str | Path, content: Any, arrays: Mapping[str, Array]) -> None:
    """Write ``content``, anything that JSON can say, and ``arrays`` to ``path``, whole or not at all.

    Raises, before anything is written, ValueError for a name that is no ``.npz`` and no ``.safetensors``, and
    TypeError for a dtype that such a file cannot hold; OSError as :func:`gdcore.files.replacing` does.
    """
    container = container_of(path)
    for name, array in arrays.items():
        if not container.holds(array.dtype.str) or (array.dtype.kind == "V" and array.dtype != BFLOAT16):
            what, _, keys = name.partition(".")
            raise TypeError(
                f"{where(what, (keys,) if keys else ())}: expected a dtype that *{Path(path).suffix} holds, "
                f"got {describe(array)}"
            )
    # The widest numbers come first, so that the data of each array is aligned.
    arrays = dict(sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize))
    table = {name: {"dtype": array.dtype.str, "shape": array.shape} for name, array in arrays.items()}
    text = json.dumps({"format": FORMAT, "arrays": table, "content": content})
    with replacing(path) as file:
        container.write(file, text, arrays)
        at = _end_of_mark(container, file)
        digits = _digits(file, at)
        file.seek(at)
        file.write(digits)


@contextmanager
def reading(path: str | Path, mapped: Choose = lambda _: False) -> Iterator[tuple[Any, dict[str, Array]]]:
    """Give the content and the arrays that :func:`write` was given. Nothing in the file is run.

    Arrays for whose name ``mapped`` is true are read when they are used, from the file as it is now, and are
    read-only.

    Raises ValueError for another name than ``*.npz`` or ``*.safetensors``, OSError for a file that cannot be read,
    and CheckpointError for one that :func:`write` did not make: what the block raises is taken to mean that too.
    """
    container = container_of(path)
    check_regular(path)
    with Path(path).open("rb") as file:
        try:
            _check_seal(container, file)
            yield container.read(file, mapped)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None
        except Exception as error:  # forgeries fail in more ways than the readers of JSON and zip have errors
            # The system says EINVAL to a place before the start of the file, where a directory of a zip may point.
            if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno != errno.EINVAL):
                raise
            raise CheckpointError(f"{path}: expected a checkpoint that gd.save wrote, got a forged one") from error


def _check_seal(container: Container, file: IO[bytes]) -> None:
    at = _end_of_mark(container, file)
    file.seek(at - len(container.mark))
    if file.read(len(container.mark)) != container.mark:
        raise CheckpointError("expected a checkpoint that gd.save wrote, got another file, or a part of one")
    expected, got = file.read(DIGITS), _digits(file, at)
    if got != expected:
        raise CheckpointError(f"expected the SHA-256 {expected!r}, got {got!r}: the file is damaged")


def _end_of_mark(container: Container, file: IO[bytes]) -> int:
    size = file.seek(0, os.SEEK_END)
    start = container.start if container.start >= 0 else max(size + container.start, 0)
    return start + len(container.mark)


def _digits(file: IO[bytes], at: int) -> bytes:
    digest = hashlib.sha256()
    for start, end in ((0, at), (at + DIGITS, file.seek(0, os.SEEK_END))):
        position = file.seek(start)
        while chunk := file.read(min(CHUNK, max(end - position, 0))):
            digest.update(chunk)
            position += len(chunk)
    return digest.hexdigest().encode()


CONTAINERS: Final = {".npz": NPZ, ".safetensors": SAFETENSORS}
