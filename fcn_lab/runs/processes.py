"""What tells a process from all others, and a living one from a dead, however clocks are set."""

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
    """Returns when the process started; 0 where there is none that runs, None if not shown."""
    try:
        return _read_ticks(pid) if sys.platform == "linux" else _read_seconds(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None if _exists(pid) else 0.0


def _read_ticks(pid: int) -> float:
    """Reads ticks since the boot: psutil's seconds since 1970 move with a clock that is set."""
    # behind the name, which may hold anything: the state, and 19 fields on the start
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return 0.0 if fields[0] in "ZX" else float(fields[19])


def _read_seconds(pid: int) -> float:
    # imported here, since Linux has no need of it, and ``--help`` even less
    import psutil

    try:
        process = psutil.Process(pid)
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess as error:
        raise ProcessLookupError from error


def _exists(pid: int) -> bool:
    """Returns whether a process exists: some systems show no more of another user's."""
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
    # a machine may change its name, a boot does not
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
        # nothing can be written there: the clock of this machine has to do
        return time.time() - path.stat().st_mtime if path.exists() else math.inf


def read_touch_time(path: Path) -> int:
    """Returns when the file was touched; opens it if possible: a network's answer may be old."""
    try:
        with path.open() as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except PermissionError:
        # another user's, who lets nobody read it
        return path.stat().st_mtime_ns
