"""Identifies processes, and tells living from dead ones, without trust in clocks."""

import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path


def find_start_time(pid: int) -> float | None:
    """Returns when the process started; 0 where none runs, None where the system hides it."""
    try:
        return _read_ticks(pid) if sys.platform == "linux" else _read_seconds(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None if _exists(pid) else 0.0


def _read_ticks(pid: int) -> float:
    """Reads ticks since the boot: psutil's seconds since 1970 move with a clock that is set."""
    # after the name, which may hold any character: the state, and 19 fields later the start
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return 0.0 if fields[0] in "ZX" else float(fields[19])


def _read_seconds(pid: int) -> float:
    # imported here, since neither Linux nor ``--help`` needs it
    import psutil

    try:
        process = psutil.Process(pid)
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess as error:
        raise ProcessLookupError from error


def _exists(pid: int) -> bool:
    """Returns whether a process exists, which is all that some systems show of another user's."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


@cache
def identify_machine() -> str:
    """Returns an id of this boot and container, within which a process number is unique."""
    boot, view = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    # the id of a boot never changes, but a machine's name may
    if boot.exists():
        boot_id = boot.read_text().strip()
    elif sys.platform == "darwin":
        command = ["sysctl", "-n", "kern.bootsessionuuid"]
        boot_id = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    else:
        import psutil

        boot_id = f"{socket.gethostname()} {psutil.boot_time():.0f}"
    container = os.readlink(view) if view.is_symlink() else ""
    return f"{boot_id} {container}".strip()


def measure_age(path: Path) -> float:
    """Returns the seconds since the file was touched, both by the file system's clock.

    They are infinite once it is gone.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".now") as probe:
            return os.stat(probe.name).st_mtime - path.stat().st_mtime
    except OSError:
        # nothing can be written there, so this machine's clock is used
        return time.time() - path.stat().st_mtime if path.exists() else math.inf


def read_touch_time(path: Path) -> int:
    """Returns when the file was touched; opens it first: a network may answer from a cache."""
    try:
        with path.open() as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except PermissionError:
        # another user's file, which only that user may read
        return path.stat().st_mtime_ns
