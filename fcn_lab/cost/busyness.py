"""Notices when other work on the machine has disturbed a timing."""

import os
import time

from fcn_lab.text.terminal import format_count

# load average a core from which a machine counts as busy
BUSY_LOAD = 0.5
# the least share of a core's time that a computing process gets where nothing disturbs it
UNDISTURBED_SHARE = 0.9


class BusynessWatch:
    """A context around everything that is timed; it may be entered many times."""

    def __init__(self) -> None:
        # the system's mean over the minute before, in which this process has computed little
        self._load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        self._cpu = self._wall = 0.0

    def __enter__(self) -> None:
        self._cpu -= time.process_time()
        self._wall -= time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self._cpu += time.process_time()
        self._wall += time.perf_counter()

    def describe(self, cores: int, on_cpu: bool = True) -> str | None:
        """Returns a sentence on what disturbed the timing, or None where nothing did.

        Args:
            cores: how many cores this process may use.
            on_cpu: whether the CPU computed; a process's own time says nothing of a GPU's work.
        """
        share = self._cpu / self._wall if on_cpu and self._wall else None
        return describe_busyness(self._load, cores, share)


def describe_busyness(load: float, cores: int, share: float | None) -> str | None:
    """Returns a sentence where a load average or a share of a core's time shows other work."""
    signs = []
    if load > BUSY_LOAD * cores:
        signs.append(f"load average {load:.1f} on {format_count(cores, 'core')}")
    if share is not None and share < UNDISTURBED_SHARE:
        signs.append(f"this process got {100 * share:.0f} % of a core's time")
    if not signs:
        return None
    return (
        f"The machine was busy ({', '.join(signs)}): compare these times with each other, "
        "and with no others."
    )
