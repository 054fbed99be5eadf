"""The plain files of a zip or tar archive, unpacked below one folder and nowhere else."""

import errno
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from fcn_lab.errors import UserError

_CHUNK = 1 << 20
# zipfile raises RuntimeError where a password is needed, ValueError for invalid names
ARCHIVE_ERRORS = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError),
)
# errors that an archive's names cause; the system's other refusals are about the target folder
_NAME_ERRNOS = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EINVAL, None)


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: its path in the archive.
        size: bytes that it says it has.
        is_plain: whether it is a regular file, and no link, pipe or device.
        open: returns its content as a file.
    """

    name: str
    size: int
    is_plain: bool
    open: Callable[[], IO[bytes]]


@contextmanager
def open_archive(path: Path) -> Iterator[list[Member]]:
    """Yields the entries of an archive, folders left out.

    Raises:
        OSError: or one of ``ARCHIVE_ERRORS``: it is none, is corrupt, or cannot be read.
    """
    if tarfile.is_tarfile(path):
        with tarfile.open(path) as tar:
            yield [
                Member(info.name, info.size, info.isreg(), partial(_open_tar, tar, info))
                for info in tar
                if not info.isdir()
            ]
        return
    with zipfile.ZipFile(path) as archive:
        yield [
            Member(info.filename, info.file_size, _is_plain(info), partial(archive.open, info))
            for info in archive.infolist()
            if not info.is_dir()
        ]


def unpack_below(
    members: Sequence[Member], folder: str, target: Path, most_files: int, most_bytes: int
) -> None:
    """Unpacks the content of the archive's folder of this name, at any depth, into a target.

    Raises:
        UserError: it is too much, or an entry is no plain file below the folder.
    """
    if len(members) > most_files or sum(member.size for member in members) > most_bytes:
        raise UserError(f"more than {most_files} files, or {most_bytes / 1e9:g} GB unpacked")
    budget = most_bytes
    for member in members:
        parts = PurePosixPath(member.name).parts
        if folder not in parts:
            continue
        if ".." in parts or parts[0] == "/" or not member.is_plain:
            raise UserError(f"{member.name[:200]!r} is no plain file below it")
        budget -= extract(member, target.joinpath(*parts[parts.index(folder) + 1 :]), budget)


def extract(member: Member, target: Path, limit: int) -> int:
    """Unpacks one file, at most so many bytes, and returns their number.

    Raises:
        UserError: it is larger than it says, or this system does not take its name.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, target.open("xb") as file:
            while chunk := source.read(_CHUNK):
                if file.tell() + len(chunk) > limit:
                    raise UserError("its files are larger than it says")
                file.write(chunk)
            return file.tell()
    except OSError as error:
        if error.errno not in _NAME_ERRNOS:
            raise
        raise UserError(f"{member.name[:200]!r} cannot be unpacked: {error}") from error


def _open_tar(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(info)
    if file is None:
        raise tarfile.ReadError(f"{info.name} holds nothing")
    return file


def _is_plain(info: zipfile.ZipInfo) -> bool:
    return stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
