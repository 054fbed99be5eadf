"""Writes files and folders whole or not at all, and reports places that take none.

Everything is written under a hidden name beside its place, brought to the disk and then renamed:
a reader sees all of it or nothing, and a failed write is removed. The hidden name is made of the
process and a random number, not of the file's own name. So no two processes share one, no reader's
pattern matches one, and a file with a name of the greatest length can still be written.
"""

import csv
import errno
import io
import json
import os
import secrets
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from fcn_lab.errors import WriteFailure, guard_writing, list_usual_folders
from fcn_lab.locks import is_locked
from fcn_lab.text.escaping import csv_row

DRAFT_PREFIX = ".part-"
_ABANDONED_SECONDS = 3600
_TRIES = 9
# with an ending and a number a name stays below the usual 255 bytes
NAME_LIMIT_BYTES = 230


def write_bytes(path: Path, content: bytes | memoryview, advice: str = "") -> None:
    """Writes a file whole or not at all; see `guard_writing`."""
    with write_draft(path, advice) as draft:
        draft.write_bytes(content)


def write_text(path: Path, text: str, advice: str = "") -> None:
    """Writes UTF-8, line ends as they are, whole or not at all; see `guard_writing`."""
    write_bytes(path, encode_text(text), advice)


def encode_text(text: str) -> bytes:
    """Encodes a text as UTF-8; bytes of a name that are not UTF-8 are spelt out."""
    return text.encode(errors="backslashreplace")


def write_texts(folder: Path, texts: Mapping[str, str], advice: str = "") -> None:
    """Writes files into a folder by their names; none before all have room; see `guard_writing`."""
    with ExitStack() as drafts:
        for name, text in texts.items():
            draft = drafts.enter_context(write_draft(folder / name, advice))
            draft.write_bytes(encode_text(text))


def write_json(path: Path, content: object, indent: int | None = 2) -> None:
    """Writes a JSON file whole or not at all; see `guard_writing`."""
    write_text(path, json.dumps(content, indent=indent) + "\n")


def write_table(path: Path, rows: Iterable[Iterable[object]]) -> None:
    """Writes a CSV file, its titles the first row, whole or not at all; see `guard_writing`."""
    table = io.StringIO()
    csv.writer(table).writerows(map(csv_row, rows))
    write_text(path, table.getvalue())


@contextmanager
def write_buffer(path: Path, advice: str = "") -> Iterator[io.BytesIO]:
    """Yields a buffer whose content becomes the file when the block ends; see `guard_writing`.

    It is for libraries that write by themselves: a full disk then stops this module and not their
    native code, some of which gives no reason or aborts the process.
    """
    buffer = io.BytesIO()
    yield buffer
    write_bytes(path, buffer.getbuffer(), advice)


@contextmanager
def write_draft(path: Path, advice: str = "") -> Iterator[Path]:
    """Yields the hidden name to write to, for files that are too large for a buffer."""
    draft = create_draft_path(path)
    try:
        with guard_writing(path, advice):
            yield draft
            with draft.open("rb") as file:
                flush_to_disk(file)
            draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def append_text(path: Path, text: str) -> None:
    """Adds text to a file, on the disk; where that fails the file keeps its old end."""
    with guard_writing(path), path.open("ab", buffering=0) as file:
        end, rest = file.tell(), encode_text(text)
        try:
            while rest:
                rest = rest[file.write(rest) :]
            flush_to_disk(file)
        except OSError:
            with suppress(OSError):
                file.truncate(end)
            raise


def make_folder(folder: Path, advice: str = "") -> None:
    """Makes a folder and those above it; see `guard_writing`."""
    with guard_writing(folder, advice):
        for _ in range(_TRIES):
            # a refused command may remove it, or a folder above it, at the same moment
            with suppress(FileExistsError, FileNotFoundError):
                return folder.mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)


def follow_links(path: Path) -> Path:
    """Returns the absolute path behind all links; a link that leads round stays as it is."""
    # `Path.resolve` raises there before Python 3.13
    return Path(os.path.realpath(path))


def find_files(name: str, *folders: Path) -> Iterator[Path]:
    """Yields the files of this name in these folders and below; folders may vanish meanwhile."""
    for top in folders:
        for folder, subfolders, files in os.walk(top):
            if name in (*subfolders, *files):
                yield Path(folder, name)


def write_anywhere(name: str, content: object, *folders: Path) -> Path | None:
    """Writes JSON into the first folder that takes it, of these and then of the usual ones."""
    for folder in (*folders, *list_usual_folders()):
        with suppress(WriteFailure):
            write_json(folder / name, content)
            return folder / name
    return None


@contextmanager
def publish_folder(
    folder: Path,
    is_whole: Callable[[Path], object] = os.listdir,
    advice: str = "",
    draft: Path | None = None,
) -> Iterator[Path]:
    """Yields a hidden folder to fill, which takes its name when the block ends.

    Args:
        folder: the name that it takes.
        is_whole: returns whether a folder that another process put there meanwhile may stay; else
            it is replaced.
        advice: see `guard_writing`, which the block runs under.
        draft: a hidden folder that the caller has for itself; its content stays, also where the
            process is stopped, for the process that continues it.
    """
    make_folder(folder.parent, advice)
    hidden_folder = create_draft_path(folder) if draft is None else draft
    try:
        with guard_writing(folder, advice):
            hidden_folder.mkdir(exist_ok=draft is not None)
            yield hidden_folder
            _publish(hidden_folder, folder, is_whole)
    except BaseException as error:
        if draft is None or isinstance(error, Exception):
            shutil.rmtree(hidden_folder, ignore_errors=True)
        raise
    # it is still there where another process was first
    shutil.rmtree(hidden_folder, ignore_errors=True)


def create_draft_path(path: Path) -> Path:
    """Returns a hidden name in the same folder that no process uses and no reader looks for."""
    return path.with_name(f"{DRAFT_PREFIX}{os.getpid()}-{secrets.token_hex(4)}")


def shorten_name(name: str) -> str:
    """Returns a name to which an ending can be added; a long one is cut and ends in a digest."""
    encoded_name = os.fsencode(name)
    if len(encoded_name) <= NAME_LIMIT_BYTES:
        return name
    mark = f"-{zlib.crc32(encoded_name):08x}"
    return encoded_name[: NAME_LIMIT_BYTES - len(mark)].decode(errors="ignore") + mark


def clear_drafts(folder: Path, seconds: float = _ABANDONED_SECONDS, lock: str = "") -> None:
    """Removes what killed processes left half written.

    Args:
        folder: where the drafts lie.
        seconds: how long they have not been touched.
        lock: a file in a draft, which a process locks while it writes the draft.
    """
    for draft in folder.glob(f"{DRAFT_PREFIX}*"):
        with suppress(OSError):
            is_old = time.time() - draft.stat().st_mtime >= seconds
            if is_old and not (lock and is_locked(draft / lock)):
                shutil.rmtree(draft) if draft.is_dir() else draft.unlink()


def flush_to_disk(file: IO[bytes] | IO[str]) -> None:
    """Waits until the file's bytes are on the disk, which shows late errors."""
    file.flush()
    os.fsync(file.fileno())


def _publish(draft: Path, folder: Path, is_whole: Callable[[Path], object]) -> None:
    """Renames the draft, unless another process was first and its folder is whole."""
    while True:
        try:
            draft.rename(folder)
            break
        except OSError as error:
            if error.errno != errno.ENOTEMPTY and not folder.is_dir():
                raise
        # another process may just have moved it aside
        with suppress(FileNotFoundError):
            if is_whole(folder):
                return
            old_folder = create_draft_path(folder)
            folder.rename(old_folder)
            shutil.rmtree(old_folder, ignore_errors=True)
    handle = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
