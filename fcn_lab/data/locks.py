"""A lock on a file that prints a line where it has to wait for another process."""

import fcntl
import logging
from typing import IO, Any

_log = logging.getLogger(__name__)


def wait_for_lock(file: IO[Any], work: str) -> None:
    """Locks an open file; waits while another process holds it.

    Args:
        file: the file.
        work: what another process does meanwhile, such as ``packs these frames``.

    Raises:
        OSError: the place knows no locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _log.warning("another process %s: this one waits until it is done", work)
        fcntl.flock(file, fcntl.LOCK_EX)
