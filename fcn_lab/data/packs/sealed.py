"""Writes JSON files with a digest that shows later damage, and computes digests of large files."""

import json
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from fcn_lab.errors import UserError
from fcn_lab.files import make_folder, write_text

_PIECE = 1 << 20


class SealMissing(ValueError):
    """The error for a file without a digest, of which it is not known whether it was changed."""


def seal(content: object) -> str:
    """Returns the text of a file that holds the content and its digest."""
    return json.dumps({"content": content, "digest": zlib.crc32(json.dumps(content).encode())})


def unseal(text: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Returns the content of a sealed text.

    Raises:
        SealMissing: it has no digest, as before digests were written.
        ValueError: it is not as it was written.
    """
    try:
        envelope = json.loads(text)
        content, digest = envelope["content"], envelope["digest"]
    except (KeyError, TypeError, IndexError) as error:
        raise SealMissing("it has no digest") from error
    if zlib.crc32(json.dumps(content).encode()) != digest:
        raise ValueError("not as it was written")
    return content


def recall(path: Path) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Returns what `remember` was given for this file.

    Raises:
        ValueError: there is no such file, or it is not as it was written.
    """
    try:
        return unseal(path.read_text())
    except OSError as error:
        raise ValueError("it cannot be read") from error


def remember(path: Path, content: object) -> None:
    """Stores a result that took long to find; where nothing can be written, it is found again."""
    with suppress(UserError):
        make_folder(path.parent)
        write_text(path, seal(content))


def count_pieces(size: int) -> int:
    """Returns the number of pieces in which `digest` reads a file of this size."""
    return -(-size // _PIECE)


def digest(path: Path, report: Callable[[], object] = lambda: None) -> int:
    """Returns the CRC-32 of a file, which detects accidents but not forgery.

    Args:
        path: the file.
        report: is called after every piece.
    """
    total, piece = 0, memoryview(bytearray(_PIECE))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(piece):
            total = zlib.crc32(piece[:count], total)
            report()
    return total
