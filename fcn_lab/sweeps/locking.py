"""Locks a sweep's folder, so that one runner at a time freezes it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from fcn_lab.files import make_folder
from fcn_lab.locks import wait_for_lock
from fcn_lab.worker.claims import count_levels, find_existing, remove_empty


@contextmanager
def hold_sweep(folder: Path) -> Iterator[None]:
    """Holds the folder, which is made if needed; waits while another runner holds it.

    The folder itself is locked, so that nothing is left behind; where the file system knows no
    locks, nothing is locked. A folder that was made and stays empty is removed again.

    Raises:
        WriteFailure: the folder cannot be made.
    """
    folder_count = count_levels(folder, find_existing(folder))
    try:
        handle = _open_locked(folder)
        try:
            yield
        finally:
            os.close(handle)
    finally:
        remove_empty(folder, folder_count)


def _open_locked(folder: Path) -> int:
    while True:
        make_folder(folder, "sweep.dir= chooses another folder")
        with suppress(FileNotFoundError):
            handle = os.open(folder, os.O_RDONLY)
            with suppress(OSError):
                message = f"another command is freezing {folder}; this one goes on after it"
                wait_for_lock(handle, message, partial(print, flush=True))
            # another runner that was refused may have removed it
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), folder.stat()):
                    return handle
            os.close(handle)
