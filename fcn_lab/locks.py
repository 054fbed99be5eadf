"""A lock that says when another process has it."""

import fcntl
import logging
from collections.abc import Callable
from typing import IO, Any

_log = logging.getLogger(__name__)


def wait_for_lock(
    file: IO[Any] | int, message: str, announce: Callable[[str], object] = _log.warning
) -> None:
    """Locks an open file or folder, once whoever has it is done.

    Args:
        file: the file, or its handle.
        message: what another process does meanwhile.
        announce: tells it, where one has the lock.

    Raises:
        OSError: the place knows no locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        announce(message)
        fcntl.flock(file, fcntl.LOCK_EX)
