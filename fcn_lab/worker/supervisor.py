"""Runs one worker process from its start to the record of its end, alike under every engine."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fcn_lab.errors import guard_writing
from fcn_lab.runs.attempts import EXIT_TAKEN, Attempt, RunConflict, begin_attempt, find_last_attempt
from fcn_lab.runs.names import CONFIG, LOG
from fcn_lab.runs.processes import identify_machine
from fcn_lab.runs.processor import count_bound_cores
from fcn_lab.runs.provenance import PACKAGE
from fcn_lab.runs.statuses import RunStatus
from fcn_lab.training.machine import count_cores
from fcn_lab.training.ranks import drop_stray_ranks
from fcn_lab.worker.flags import CELL_FLAG, PARENT_FLAG

# exit status of a worker after a user's mistake; trying again would not help
EXIT_MISTAKE = 2
GRACE_SECONDS = 20.0
POLL_SECONDS = 0.1
# the variable that is set where a user wants a traceback also for mistakes
TRACEBACK_VARIABLE = "FCN_LAB_TRACEBACK"
# glibc hands every large tensor back to the system at once and faults its pages in again at the
# next step: measured, 15 % of a training step on a CPU. Other C libraries ignore these words.
MALLOC_VARIABLES = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}


@dataclass(frozen=True)
class Job:
    """A cell as engines see it.

    Args:
        folder: the cell's folder, with its frozen config.yaml; absolute.
        code: the folder of the frozen sources, with which PYTHONPATH begins; absolute.
        cwd: the worker's working folder; absolute.
        devices: how many devices the cell trains on.
        on_cpu: whether the cell was told not to use a GPU.
        minutes: how long the cell may take; None sets no limit.
    """

    folder: Path
    code: Path
    cwd: Path
    devices: int = 1
    on_cpu: bool = False
    minutes: float | None = None

    @property
    def log(self) -> Path:
        """Returns the file of what the worker prints, in all attempts."""
        return self.folder / LOG


def build_worker_command(config: Path) -> list[str]:
    """Returns the command that starts the worker on one frozen config."""
    return [sys.executable, "-m", "fcn_lab.worker", str(config)]


def build_worker_environment(code: Path | None = None) -> dict[str, str]:
    """Returns this environment with `code`, or the package now running, first on the path."""
    environment = {key: value for key, value in os.environ.items() if key != "HYDRA_FULL_ERROR"}
    package = str(code or PACKAGE.parent)
    paths = [package, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    settings = {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        # else `python -m` puts the folder it stands in first: a clone there is not what a sweep has
        # frozen, and a run folder there may be a stranger's
        "PYTHONSAFEPATH": "1",
        # whatever the locale: names and texts are read as they were written
        "PYTHONUTF8": "1",
    }
    # torch starts a thread a core, also those whose time a container does not get
    share = {"OMP_NUM_THREADS": str(count_cores())} if count_cores() < count_bound_cores() else {}
    return {**MALLOC_VARIABLES, **share, **drop_stray_ranks(environment), **settings}


@dataclass
class Supervisor:
    """Runs the worker of `job` once, with `environment` on top of this process's.

    The worker leads a process group of its own: Ctrl-C in a terminal reaches it only through this
    process, and the processes that it started (ranks, loaders) end with it.
    """

    job: Job
    environment: Mapping[str, str] = field(default_factory=dict)
    requested_signal: int | None = field(default=None, init=False)
    _stop_reason: str = field(default="", init=False)

    def stop(self, signum: int, reason: str = "") -> None:
        """Asks the worker to end where it can be resumed, and kills it after a grace period."""
        if self.requested_signal is None:
            self._stop_reason, self.requested_signal = reason, signum

    def run(self) -> int:
        """Returns the worker's exit status: negative for a signal, TAKEN if another has it."""
        if self.requested_signal is not None:
            return 128 + self.requested_signal
        job = self.job
        with guard_writing(job.log):
            log = job.log.open("ab")
        with log:
            start = log.tell()
            process = subprocess.Popen(
                [
                    *build_worker_command(job.folder / CONFIG),
                    CELL_FLAG,
                    f"{PARENT_FLAG}{os.getpid()}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**build_worker_environment(job.code), **self.environment},
                cwd=job.cwd,
                process_group=0,
            )
        try:
            code = self._wait(process)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self._record(process.pid, code, start)
        return code

    def _wait(self, process: "subprocess.Popen[bytes]") -> int:
        limit = float("inf") if self.job.minutes is None else self.job.minutes * 60
        deadline, kill_at = time.monotonic() + limit, float("inf")
        while True:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(POLL_SECONDS)
            time_now = time.monotonic()
            if time_now > deadline:
                self.stop(signal.SIGTERM, f"timed out after {self.job.minutes:g} min")
            if self.requested_signal is not None and kill_at == float("inf"):
                process.send_signal(self.requested_signal)
                # counted from here, since this process may have been held up
                kill_at = time.monotonic() + GRACE_SECONDS
            elif time_now > kill_at:
                os.killpg(process.pid, signal.SIGKILL)

    def _record(self, pid: int, code: int, start: int) -> None:
        attempt = None if code == EXIT_TAKEN else self._claim_attempt(pid)
        if attempt is None:
            return
        if code == 0:
            attempt.end(RunStatus.DONE)
        elif self._stop_reason:
            attempt.end(RunStatus.FAILED, self._stop_reason)
        elif self.requested_signal is not None or code in (
            128 + signal.SIGINT,
            128 + signal.SIGTERM,
        ):
            attempt.end(RunStatus.STOPPED)
        elif code < 0:
            hint = " (out of memory?)" if -code == signal.SIGKILL else ""
            attempt.end(RunStatus.FAILED, f"killed by {signal.Signals(-code).name}{hint}")
        else:
            attempt.end(RunStatus.FAILED, self._read_last_line(start))

    def _claim_attempt(self, pid: int) -> Attempt | None:
        """Returns the worker's attempt, or this process's if the worker died before it had one."""
        attempt = find_last_attempt(self.job.folder)
        machine = identify_machine()
        if attempt is not None and (attempt.pid, attempt.machine) == (pid, machine):
            return attempt
        try:
            return begin_attempt(self.job.folder)
        except RunConflict:
            return None

    def _read_last_line(self, start: int) -> str:
        with self.job.log.open("rb") as log:
            log.seek(start)
            lines = [line.strip() for line in log.read().decode(errors="replace").splitlines()]
        # a refusal has one line or two
        refusals = [line for line in lines if line.startswith("fcn-lab: ")]
        return next(filter(None, reversed(refusals or lines)), "it printed nothing")
