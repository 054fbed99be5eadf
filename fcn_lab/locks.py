"""Locks a file, and says so where it has to wait for another process."""

import fcntl
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

_log = logging.getLogger(__name__)


def wait_for_lock(
    file: IO[Any] | int, message: str, announce: Callable[[str], object] = _log.warning
) -> None:
    """Locks an open file or folder; waits while another process holds it.

    Args:
        file: the file, or its handle.
        message: says what another process does meanwhile.
        announce: takes the message where the lock is held.

    Raises:
        OSError: the place knows no locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        announce(message)
        fcntl.flock(file, fcntl.LOCK_EX)


def is_locked(path: Path) -> bool:
    """Returns whether another process has locked the file; False where there is none."""
    with suppress(OSError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
