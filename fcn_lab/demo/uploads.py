"""The files that a page has received or offers: it opens no others and limits their size."""

import fcntl
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from tempfile import TemporaryDirectory, gettempdir
from threading import Lock

# how long a file that was sent and never opened is kept
UNREAD_SECONDS = 600
# the bytes that a file takes on a disk besides its own
FILE_OVERHEAD_BYTES = 4096
_PREFIX, _LOCK = "fcn-lab-demo-", "lock"
# how long a page that starts may take to lock its folder
_NEW_SECONDS = 60


@contextmanager
def make_temporary_folder() -> Iterator[Path]:
    """Yields a new empty folder and removes it at the end.

    Folders that killed pages have left behind are removed too.
    """
    for lock_file in Path(gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        # the file may be a stranger's, and a pipe
        with suppress(OSError), open(lock_file, opener=_open_at_once) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - lock_file.stat().st_mtime > _NEW_SECONDS:
                shutil.rmtree(lock_file.parent)
    with TemporaryDirectory(prefix=_PREFIX) as parent, Path(parent, _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = Path(parent, "files")
        folder.mkdir()
        yield folder


class Uploads:
    """A folder with files the page offers and files it has received.

    Args:
        folder: where files are kept, each in a folder of its own.
        megabytes: the most megabytes of all files that were received and are still there.
    """

    def __init__(self, folder: Path, megabytes: float) -> None:
        self.folder, self.limit = folder.resolve(), megabytes * 1e6
        self._examples: set[Path] = set()
        self._bytes_arriving = 0
        self._unread: Counter[Path] = Counter()
        self._counting = Lock()

    def offer(self) -> None:
        """Marks the files in the folder as the page's own: never removed, and outside the limit."""
        self._examples = {path for path, _ in self._files()}

    def contains(self, name: str) -> bool:
        """Returns whether a name is a file in this folder, with all links resolved."""
        try:
            path = Path(name).resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            # not there, a circle of links, a zero byte
            return False
        return path.is_relative_to(self.folder) and path.is_file()

    def reserve(self, length: int) -> bool:
        """Reserves room for so many bytes until `release`; returns False if there is none."""
        time_now = time.time()
        total = 0
        for path, state in self._files():
            if path in self._examples:
                continue
            if time_now - state.st_mtime > UNREAD_SECONDS:
                self._unread.pop(path, None)
                _remove(path)
            else:
                total += state.st_size + FILE_OVERHEAD_BYTES
        if total + self._bytes_arriving + length > self.limit:
            return False
        self._bytes_arriving += length
        return True

    def release(self, length: int) -> None:
        """Returns the room once the file has arrived or failed to."""
        self._bytes_arriving -= length

    def expect(self, path: Path) -> None:
        """Notes that a file was sent; a file that several people sent is kept once."""
        with self._counting:
            self._unread[path.resolve()] += 1

    def forget(self, path: Path) -> None:
        """Removes a received file once everybody who sent it has had it read."""
        if self.contains(str(path)) and path.resolve() not in self._examples:
            with self._counting:
                self._unread[path.resolve()] -= 1
                if self._unread[path.resolve()] <= 0:
                    del self._unread[path.resolve()]
                    _remove(path)

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for folder, _, names in os.walk(self.folder):
            for path in (Path(folder, name) for name in names):
                # a thread has just read it and removed it
                with suppress(FileNotFoundError):
                    state = path.lstat()
                    if S_ISREG(state.st_mode):
                        yield path, state


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def _remove(path: Path) -> None:
    """Removes the file, and its folder if that is then empty."""
    path.unlink(missing_ok=True)
    with suppress(OSError):
        path.parent.rmdir()
