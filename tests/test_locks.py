"""Of two processes that want one thing the second one waits, and says so."""

import fcntl
import logging
from pathlib import Path
from threading import Timer

import pytest

from fcn_lab.locks import wait_for_lock


@pytest.mark.parametrize("is_held", [False, True])
def test_who_waits_for_a_lock_says_for_what(
    is_held: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "lock"
    with path.open("w") as first, path.open("w") as second:
        if is_held:
            fcntl.flock(first, fcntl.LOCK_EX)
            Timer(0.1, fcntl.flock, (first, fcntl.LOCK_UN)).start()
        with caplog.at_level(logging.WARNING):
            wait_for_lock(second, "another process packs these frames")
        assert caplog.messages == ["another process packs these frames"] * is_held
        with pytest.raises(BlockingIOError):
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
