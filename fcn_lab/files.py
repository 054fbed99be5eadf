"""Files and folders that are written whole or not at all, and what a place says that takes none.

Everything is written under a hidden name beside its place, brought to the disk and then renamed:
a reader sees all of it or nothing, and what fails is removed. The hidden name holds process and
chance and not the file's own name, so that no two processes share one, no pattern of a reader finds
one, and a name of the greatest length can still be written.
"""

import csv
import errno
import io
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from fcn_lab.errors import UserError

_DRAFT = ".part-"
_ABANDONED_SECONDS = 3600
_ROOM = "Make room there, or choose another folder"
_OTHER = "Choose a folder that this user may write to"
# what the system says → what it means for a place, and what to do
_REFUSALS = {
    errno.ENOSPC: ("no space is left on its disk", _ROOM),
    errno.EDQUOT: ("the disk quota is used up", _ROOM),
    errno.EFBIG: ("the file would be larger than is allowed there", f"{_ROOM} (see `ulimit -f`)"),
    errno.EROFS: ("the place is read-only", _OTHER),
    errno.EACCES: ("this user may not write there", _OTHER),
    errno.EPERM: ("this user may not write there", _OTHER),
    errno.ENAMETOOLONG: ("the name is too long", "Choose a shorter one"),
    errno.ENOTDIR: ("a part of its path is a file and no folder", "Choose another folder"),
    errno.EEXIST: ("a file that is no folder has this name", "Choose another folder"),
    errno.EISDIR: ("a folder has this name", "Choose another name, or remove the folder"),
    errno.ENOENT: ("its folder does not exist, or no longer", "Choose another folder"),
}


# of the system's refusals those that say of themselves that something was to be written
_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class NotWritten(UserError):
    """A place took no file; the message names the place, the reason and what to do."""


@contextmanager
def guard_writing(path: Path, advice: str = "") -> Iterator[None]:
    """Turns the system's refusals to write at `path` into two lines for the user.

    Errors that name a file elsewhere, say one that could not be read, pass through.

    Args:
        path: what is being written, which the message names.
        advice: what to do, where the caller knows it better than the system's error tells.

    Raises:
        NotWritten: the block raised an OSError about `path` or its folder.
    """
    try:
        yield
    except OSError as error:
        if not _is_about(error, path):
            raise
        raise NotWritten(explain_refusal(error, path, advice)) from error


def explain_refusal(error: OSError, path: Path, advice: str = "") -> str:
    """Two lines: the place and the reason, then what to do."""
    # shutil gathers the errors of a copied folder as texts
    told = str(error.args[0][0][-1] if isinstance(error, shutil.Error) else error)
    number = next((n for n in _REFUSALS if n == error.errno or f"[Errno {n}]" in told), 0)
    reason, usual = _REFUSALS.get(number, (error.strerror or told, _OTHER))
    return f"{path} cannot be written: {reason}.\n{advice or usual}."


class Omissions:
    """What could not be written while the work went on, for those whose result is worth more."""

    def __init__(self) -> None:
        self.errors: list[NotWritten] = []

    @contextmanager
    def note(self) -> Iterator[None]:
        """Ends a block that could not write, and remembers why."""
        try:
            yield
        except NotWritten as error:
            self.errors.append(error)


def find_refusal(error: BaseException, *places: Path) -> str | None:
    """What to tell the user where an error stems from a full or read-only place, else None.

    For errors of libraries, which write where they want and often do not say where.

    Args:
        error: what was raised.
        places: folders that may have been meant, besides those of temporary files and caches.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _OF_WRITING:
            usual = (Path.cwd(), Path(tempfile.gettempdir()), Path.home())
            tight = next((place for place in (*places, *usual) if _is_tight(place)), "a file")
            return explain_refusal(cause, Path(os.fsdecode(cause.filename or tight)))
        cause = cause.__cause__ or cause.__context__
    return None


def write_bytes(path: Path, content: bytes | memoryview, advice: str = "") -> None:
    """Writes a file whole or not at all; see `guard_writing`."""
    with write_draft(path, advice) as draft:
        draft.write_bytes(content)


def write_text(path: Path, text: str, advice: str = "") -> None:
    """Writes UTF-8, line ends as they are, whole or not at all; see `guard_writing`."""
    write_bytes(path, text.encode(), advice)


def write_texts(folder: Path, texts: Mapping[str, str], advice: str = "") -> None:
    """Writes files of a folder by their names, all of them or none; see `guard_writing`."""
    with ExitStack() as drafts:
        for name, text in texts.items():
            draft = drafts.enter_context(write_draft(folder / name, advice))
            draft.write_bytes(text.encode())


def write_json(path: Path, content: object, indent: int | None = 2) -> None:
    """Writes a JSON file whole or not at all; see `guard_writing`."""
    write_text(path, json.dumps(content, indent=indent) + "\n")


def write_table(path: Path, rows: Iterable[Iterable[object]]) -> None:
    """Writes a CSV file, its titles the first row, whole or not at all; see `guard_writing`."""
    table = io.StringIO()
    csv.writer(table).writerows(rows)
    write_text(path, table.getvalue())


@contextmanager
def write_buffer(path: Path, advice: str = "") -> Iterator[io.BytesIO]:
    """Yields a buffer whose content becomes the file when the block ends; see `guard_writing`.

    For libraries that write by themselves: a full disk then meets this module and never their
    native code, some of which gives no reason or aborts the process.
    """
    buffer = io.BytesIO()
    yield buffer
    write_bytes(path, buffer.getbuffer(), advice)


@contextmanager
def write_draft(path: Path, advice: str = "") -> Iterator[Path]:
    """Yields the hidden name to write to, for what is too large for a buffer."""
    draft = draft_beside(path)
    try:
        with guard_writing(path, advice):
            yield draft
            with draft.open("rb") as file:
                sync(file)
            draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def append_text(path: Path, text: str) -> None:
    """Adds to the end of a file; where that fails the file keeps its old end."""
    with guard_writing(path), path.open("ab", buffering=0) as file:
        end, left = file.tell(), text.encode()
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            with suppress(OSError):
                file.truncate(end)
            raise


def make_folder(folder: Path, advice: str = "") -> None:
    """Makes a folder and those above it; see `guard_writing`."""
    with guard_writing(folder, advice):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def publish_folder(
    folder: Path, is_whole: Callable[[Path], object] = os.listdir, advice: str = ""
) -> Iterator[Path]:
    """Yields a hidden folder to fill, which takes its name when the block ends.

    Args:
        folder: its name.
        is_whole: whether what another process put there meanwhile may stay; else it is replaced.
        advice: see `guard_writing`, which the block runs under.
    """
    make_folder(folder.parent, advice)
    draft = draft_beside(folder)
    try:
        with guard_writing(folder, advice):
            draft.mkdir()
            yield draft
            _settle(draft, folder, is_whole)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def draft_beside(path: Path) -> Path:
    """A hidden name in the same folder that no other process uses and no reader looks for."""
    return path.with_name(f"{_DRAFT}{os.getpid()}-{secrets.token_hex(4)}")


def clear_drafts(folder: Path, seconds: float = _ABANDONED_SECONDS) -> None:
    """Removes what killed processes left half written, if untouched for so many seconds."""
    for draft in folder.glob(f"{_DRAFT}*"):
        with suppress(OSError):
            if time.time() - draft.stat().st_mtime >= seconds:
                shutil.rmtree(draft) if draft.is_dir() else draft.unlink()


def sync(file: IO[bytes] | IO[str]) -> None:
    """Waits until the file's bytes are on the disk, where a late refusal shows."""
    file.flush()
    os.fsync(file.fileno())


def _is_tight(place: Path) -> bool:
    """Whether the disk of a folder is read-only or has less than a megabyte left."""
    with suppress(OSError):
        disk = os.statvfs(place)
        return bool(disk.f_flag & os.ST_RDONLY) or disk.f_bavail * disk.f_frsize < 1 << 20
    return False


def _settle(draft: Path, folder: Path, is_whole: Callable[[Path], object]) -> None:
    """Renames; where another process was first and its folder is whole, that one stays."""
    while True:
        try:
            draft.rename(folder)
            break
        except OSError:
            if not folder.is_dir():
                raise
            if is_whole(folder):
                return
            aside = draft_beside(folder)
            folder.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
    handle = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_about(error: OSError, path: Path) -> bool:
    if error.filename is None:
        return True
    named = Path(os.fsdecode(error.filename))
    return named.is_relative_to(path.parent) or path.is_relative_to(named)
