"""Waits for what must happen, however busy the machine is."""

import time
from collections.abc import Callable

PATIENCE = 600.0  # seconds that only a fault takes


def wait_until(happened: Callable[[], object], told: Callable[[], str] = str) -> None:
    """Fails with what `told` gives where it never happens."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)
