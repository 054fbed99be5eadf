"""Who runs a cell: its attempts, numbered, of which the highest counts.

An attempt is a file ``attempts/N.json`` that is created exclusively: of any number of processes, on
any machines over a shared file system, one gets the number. On its own machine an attempt lives
while its process does; elsewhere, while its file is touched every few seconds. The attempt of a
dead process is never removed, so nothing can be removed by mistake: whoever takes the cell up
creates the next number, and a process that wakes up behind a higher number ends itself.
"""

import json
import os
import socket
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import psutil

from fcn_lab.files import write_json

HEARTBEAT = 10.0
LIFETIME = 60.0
TAKEN = 75  # exit status of a worker whose cell another one runs: EX_TEMPFAIL of sysexits.h


class Taken(Exception):
    """Another process runs this cell."""


@dataclass(frozen=True)
class Attempt:
    """One process that ran, or runs, a cell.

    Args:
        path: its file.
        host: name of the machine, for people.
        machine: this boot of it, and this view of its processes.
        pid: the process.
        born: when that process started, since numbers of processes are used again.
        began: when the attempt began, in seconds since 1970.
        status: how it ended: done, failed, stopped or pruned; None while it runs, or when its
            supervisor was killed with it.
        reason: one line on a failure.
        seconds: how long it took.
    """

    path: Path
    host: str
    machine: str
    pid: int
    born: float
    began: float
    status: str | None = None
    reason: str = ""
    seconds: float = 0.0

    @property
    def number(self) -> int:
        """Its place among the cell's attempts, from 1."""
        return int(self.path.stem)

    def alive(self) -> bool:
        """Whether its process may still be at work."""
        if self.status is not None:
            return False
        if self.machine == machine():
            return born(self.pid) == self.born
        return age(self.path) < LIFETIME

    def end(self, status: str, reason: str = "") -> None:
        """Writes down how it ended; once the scores are there it is done, whatever came after."""
        scores, until = _scores(self.path.parent.parent), time.time()
        if scores.exists():
            status, reason, until = "done", "", scores.stat().st_mtime
        _write(replace(self, status=status, reason=reason, seconds=round(until - self.began, 1)))


def attempts(folder: Path) -> list[Attempt]:
    """Of the cell in `folder`, in their order."""
    files = sorted((folder / "attempts").glob("*.json"), key=lambda file: int(file.stem))
    return [_read(file) for file in files]


def last(folder: Path) -> Attempt | None:
    """The attempt that counts, if there was any."""
    return next(reversed(attempts(folder)), None)


def begin(folder: Path) -> Attempt:
    """Makes this process the one that runs the cell.

    Raises:
        Taken: another one does, or has done it.
    """
    before = last(folder)
    if before is not None and before.alive():
        raise Taken(f"{folder.name} runs on {before.host} (process {before.pid})")
    if _scores(folder).exists():  # looked for behind `alive`: the dead write no more
        raise Taken(f"{folder.name} is done")
    number = before.number + 1 if before else 1
    path = folder / "attempts" / f"{number}.json"
    path.parent.mkdir(exist_ok=True)
    process = os.getpid()
    attempt = Attempt(path, socket.gethostname(), machine(), process, born(process), time.time())
    try:
        path.open("x").close()
    except FileExistsError as error:
        raise Taken(f"{folder.name} was taken up by another process just now") from error
    _write(attempt)
    return attempt


def keep_alive(attempt: Attempt) -> None:
    """Touches the attempt from a thread until the process ends, or until it is overtaken."""

    def beat() -> None:
        successor = attempt.path.with_stem(str(attempt.number + 1))
        while True:
            time.sleep(HEARTBEAT)
            if successor.exists():
                os._exit(TAKEN)  # another process owns the folder: not one more byte into it
            os.utime(attempt.path)

    threading.Thread(target=beat, name="heartbeat", daemon=True).start()


def born(pid: int) -> float:
    """When the process started; 0 where there is none, or only its remains."""
    try:
        process = psutil.Process(pid)
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return 0.0


@cache
def machine() -> str:
    """Within which a process number means something: this boot, this container."""
    boot, view = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    started = boot.read_text().strip() if boot.exists() else f"{psutil.boot_time():.0f}"
    inside = os.readlink(view) if view.is_symlink() else ""
    return f"{socket.gethostname()} {started} {inside}".strip()


def age(path: Path) -> float:
    """Seconds since the file was touched, both times by the clock of the file system."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".now") as now:
        return os.stat(now.name).st_mtime - path.stat().st_mtime


def _scores(folder: Path) -> Path:
    return folder / "metrics.json"


def _read(path: Path) -> Attempt:
    try:
        return Attempt(path, **json.loads(path.read_text()))
    except ValueError:  # created this moment and not yet written, or never: its age decides
        return Attempt(path, "another machine", "", 0, 0.0, path.stat().st_mtime)


def _write(attempt: Attempt) -> None:
    known = {key: value for key, value in asdict(attempt).items() if key != "path"}
    write_json(attempt.path, known, indent=None)
