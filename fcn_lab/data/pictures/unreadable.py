"""The errors about files that cannot be read as pictures."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from PIL import UnidentifiedImageError

from fcn_lab.errors import UserError

KIND_REMEDY = "Save it as a PNG of 8 or 16 bits"
CHANNELS_REMEDY = (
    "Say what such files have: data.images={files: PATTERN, channels: 1, range: 10000}"
)


class UnsupportedKind(Exception):
    """A sound file of an unsupported kind; the text continues from the file's name."""


class Unreadable(UserError):
    """A file that is no picture, or one of an unsupported kind.

    Attributes:
        reason: the fault, in words that continue from the file's name.
        remedy: what the user can do.
    """

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        super().__init__(f"{path} {reason}.\n{remedy}")
        self.reason, self.remedy = reason, remedy


@dataclass(frozen=True)
class Limit:
    """The most pixels that a picture may have, in millions, and the key that raises it."""

    megapixels: float = 180
    key: str = "data.megapixels"

    def check(self, path: Path, width: int, height: int) -> None:
        """Refuses a picture's size before anything is decoded.

        Raises:
            Unreadable: it is too large, or has no pixels.
        """
        pixels = width * height
        if pixels <= 0:
            raise Unreadable(path, f"is {width}x{height} pixels", "Expected a picture")
        if pixels > self.megapixels * 1e6:
            raise Unreadable(
                path,
                f"is {width}x{height} pixels, more than {self.megapixels:g} million",
                f"If it is no decompression bomb, type {self.key}={-(-pixels // 10**6)}",
            )


LIMIT = Limit()


@contextmanager
def open_regular(path: Path) -> Iterator[BufferedReader]:
    """Opens a regular file as bytes; a pipe would be waited for, and a device never ends.

    Raises:
        Unreadable: it is no regular file, or this user may not read it.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a folder" if path.is_dir() else "a pipe, a socket or a device"
            raise Unreadable(path, f"is {kind}", "Expected a file with a picture")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error})"
        raise Unreadable(path, reason, "Expected a file that this user may read") from error


@contextmanager
def translate_errors(path: Path, file: BinaryIO, formats: Sequence[str]) -> Iterator[None]:
    """Turns a decoder's errors about a bad file into `Unreadable`.

    Raises:
        Unreadable: the decoder raised an error.
    """
    try:
        yield
    except UserError:
        raise
    except UnsupportedKind as error:
        raise Unreadable(path, str(error), KIND_REMEDY) from error
    except UnidentifiedImageError as error:
        reason = "no picture format that is read here" if _count_bytes(file) else "it is empty"
        remedy = f"Expected a sound picture: {', '.join(formats)}"
        raise _corrupt(path, reason, _count_bytes(file), remedy) from error
    except Exception as error:
        # decoders raise any kind of error for a damaged file
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        remedy = "Restore it from the archive it came from"
        raise _corrupt(path, reason, _count_bytes(file), remedy) from error


def _count_bytes(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _corrupt(path: Path, reason: str, length: int, remedy: str) -> Unreadable:
    return Unreadable(path, f"is truncated or corrupt ({reason}; {length} bytes)", remedy)
