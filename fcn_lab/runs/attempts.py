"""Keeps track of who holds a run's folder: by numbered attempts, of which the highest counts.

An attempt is a file ``attempts/N.json`` that is created exclusively: of any number of processes, on
any machines over a shared file system, one gets the number. Seen from its own machine an attempt
lives while its process does; seen from another, while its file is touched every few seconds. The
attempt of a dead process is not removed, so nothing can be removed by mistake: the process that
continues the run creates the next number, and one that wakes up behind a higher number ends itself.

Wrong clocks do not matter: on its own machine a process is known by its number and by the ticks
from the boot to its start, and a process elsewhere is watched for a while before its run is taken
from it. The time of the last touch only decides whether it is worth that wait.
"""

import os
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from stat import S_ISREG
from types import UnionType

from fcn_lab.errors import WriteFailure, guard_writing
from fcn_lab.files import make_folder, write_json
from fcn_lab.runs.names import ATTEMPTS
from fcn_lab.runs.outcomes import is_finished
from fcn_lab.runs.processes import find_start_time, identify_machine, measure_age, read_touch_time
from fcn_lab.runs.records import DamagedFile, read_json
from fcn_lab.runs.statuses import RunStatus
from fcn_lab.text.escaping import terminal_text

HEARTBEAT_SECONDS = 10.0
LIFETIME_SECONDS = 60.0
# how long a silent process on another machine is watched
WATCH_SECONDS = 3 * HEARTBEAT_SECONDS
POLL_SECONDS = 0.5
# the longest time between the claim of a folder and the name in it
NAMED_WITHIN_SECONDS = 1.0
# in seconds since 1970, small enough for a calendar
LATEST_BEGINNING = 2.0**36
# the fields of an attempt's file
_FIELD_TYPES: dict[str, type | UnionType] = {
    **dict.fromkeys(("host", "machine", "reason"), str),
    **dict.fromkeys(("born", "began", "clock", "seconds"), int | float),
    **{"pid": int, "status": str | None},
}
_ENDS = (None, RunStatus.DONE, RunStatus.FAILED, RunStatus.STOPPED, RunStatus.PRUNED)
# exit status of a worker whose cell another one runs: EX_TEMPFAIL of sysexits.h
EXIT_TAKEN = 75


class RunConflict(Exception):
    """The error where another process runs a folder's run, or the run is done."""


@dataclass(frozen=True)
class Attempt:
    """One process that ran, or runs, the run of a folder.

    Args:
        path: its file.
        host: name of the machine, for people.
        machine: an id of the machine's boot and of the container that the process sees.
        pid: the process.
        born: when that process started, in ticks since the boot, or in seconds where a system
            keeps no ticks; it tells apart processes that had the same number.
        began: when the attempt began, in seconds since 1970.
        clock: when the attempt began, in seconds since the boot, by a clock that nobody sets.
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
    clock: float = 0.0
    status: str | None = None
    reason: str = ""
    seconds: float = 0.0

    @property
    def number(self) -> int:
        """Returns its place among the folder's attempts, from 1."""
        return int(self.path.stem)

    @property
    def holder(self) -> str:
        """Returns the process, for people."""
        start = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.began))
        return f"process {self.pid} on {terminal_text(self.host)}, since {start}"

    @property
    def is_mine(self) -> bool:
        """Returns whether this very process made it, perhaps before it became another program."""
        is_local = self.machine == identify_machine() and self.pid == os.getpid()
        return is_local and self.status is None and self.born == find_start_time(self.pid)

    def is_alive(self) -> bool:
        """Returns whether its process may still be at work, as far as one look can tell."""
        if self.status is not None:
            return False
        if self.machine == identify_machine() and (start := find_start_time(self.pid)) is not None:
            return start == self.born
        return -POLL_SECONDS <= measure_age(self.path) < LIFETIME_SECONDS

    def confirm_alive(self) -> bool:
        """Returns whether its process is at work; watches a silent one elsewhere for a while."""
        if self.is_alive() or self.status is not None:
            return self.status is None
        is_out_of_sight = self.machine != identify_machine() or find_start_time(self.pid) is None
        return is_out_of_sight and self._has_heartbeat()

    def end(self, status: str, reason: str = "") -> None:
        """Writes down how it ended: as done where the scores exist, whatever came after them."""
        if is_finished(self.path.parent.parent):
            status, reason = RunStatus.DONE, ""
        is_local = self.machine == identify_machine() and self.clock
        seconds = time.monotonic() - self.clock if is_local else time.time() - self.began
        _write(replace(self, status=status, reason=reason, seconds=round(max(seconds, 0.0), 1)))

    def _has_heartbeat(self) -> bool:
        print(
            f"{self.path.parent.parent} was held by {self.holder}; "
            f"listening {WATCH_SECONDS:.0f} s whether it still is",
            file=sys.stderr,
            flush=True,
        )
        # its file is gone where it was withdrawn meanwhile
        with suppress(FileNotFoundError):
            first_touch, deadline = read_touch_time(self.path), time.monotonic() + WATCH_SECONDS
            while time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
                if read_touch_time(self.path) != first_touch:
                    return True
        return False


def list_attempts(folder: Path) -> list[Attempt]:
    """Returns the attempts of `folder`, in their order."""
    # not by glob, which fails where a refused command removes the folder meanwhile
    try:
        files = [folder / ATTEMPTS / name for name in os.listdir(folder / ATTEMPTS)]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    files = [file for file in files if file.suffix == ".json" and file.stem.isdecimal()]
    return list(filter(None, map(_read, sorted(files, key=lambda file: int(file.stem)))))


def find_last_attempt(folder: Path) -> Attempt | None:
    """Returns the attempt that counts, if there was any."""
    return next(reversed(list_attempts(folder)), None)


def begin_attempt(folder: Path, take_done: bool = False) -> Attempt:
    """Makes this process the one that holds the folder; does nothing where it is already.

    Args:
        folder: a run's.
        take_done: hold it although the run is done.

    Raises:
        RunConflict: another process holds it, or the run is done.
    """
    last = find_last_attempt(folder)
    if last is not None and last.is_mine:
        return last
    if last is not None and last.confirm_alive():
        raise RunConflict(f"{folder} is at work: {_name_holder(folder)}")
    # asked behind `confirm_alive`: the dead write no more
    if is_finished(folder) and not take_done:
        raise RunConflict(f"{folder} is done")
    path = folder / ATTEMPTS / f"{last.number + 1 if last else 1}.json"
    make_folder(path.parent)
    pid, machine = os.getpid(), (socket.gethostname(), identify_machine())
    start = find_start_time(pid) or 0.0
    attempt = Attempt(path, *machine, pid, start, time.time(), time.monotonic())
    with guard_writing(path):
        try:
            path.open("x").close()
        except FileNotFoundError:
            # a refused command has just taken the folder away
            return begin_attempt(folder, take_done)
        except FileExistsError as error:
            raise RunConflict(f"{folder} is at work: {_name_holder(folder)}") from error
    try:
        _write(attempt)
    except WriteFailure:
        with suppress(OSError):
            path.unlink()
        raise
    return attempt


def _name_holder(folder: Path) -> str:
    """Returns who holds the folder; a process that has just come has a second to write its name."""
    deadline = time.monotonic() + NAMED_WITHIN_SECONDS
    while time.monotonic() < deadline:
        if (rival := find_last_attempt(folder)) is not None and rival.pid:
            return rival.holder
        time.sleep(0.02)
    return "another process"


def keep_alive(attempt: Attempt) -> None:
    """Touches the attempt from a thread until the process ends, or until it is overtaken."""

    def beat() -> None:
        successor = attempt.path.with_stem(str(attempt.number + 1))
        while True:
            time.sleep(HEARTBEAT_SECONDS)
            if successor.exists():
                # another process owns the folder: not one more byte into it
                os._exit(EXIT_TAKEN)
            # a file server may be away for a moment
            with suppress(OSError):
                os.utime(attempt.path)

    threading.Thread(target=beat, name="heartbeat", daemon=True).start()


def _read(path: Path) -> Attempt | None:
    try:
        content = read_json(path)
        fields = {name: content[name] for name in _FIELD_TYPES.keys() & content.keys()}
        is_valid = all(isinstance(value, _FIELD_TYPES[name]) for name, value in fields.items())
        is_valid = is_valid and fields.get("status") in _ENDS
        if is_valid and 0 <= fields.get("began", 0) < LATEST_BEGINNING:
            return Attempt(path, **fields)
    except (DamagedFile, TypeError):
        pass
    # not yet written, never written, or damaged: its age decides; a withdrawn one is gone
    try:
        entry = path.lstat()
    except FileNotFoundError:
        return None
    # a folder, a link or a pipe was made by no process of the lab
    status = None if S_ISREG(entry.st_mode) else RunStatus.STOPPED
    return Attempt(path, "another machine", "", 0, 0.0, entry.st_mtime, status=status)


def _write(attempt: Attempt) -> None:
    fields = {key: value for key, value in asdict(attempt).items() if key != "path"}
    write_json(attempt.path, fields, indent=None)
