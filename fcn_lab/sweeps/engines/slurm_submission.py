"""A job that was submitted to Slurm, whose end is read from the files that it leaves."""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fcn_lab.runs.attempts import (
    EXIT_TAKEN,
    LIFETIME_SECONDS,
    RunConflict,
    begin_attempt,
    find_last_attempt,
)
from fcn_lab.runs.outcomes import is_finished
from fcn_lab.runs.statuses import RunStatus
from fcn_lab.sweeps.engines import slurm_job as slurmjob
from fcn_lab.worker.supervisor import Job

# the time after which a file that another machine has written shows here
GONE_SECONDS = 10.0


@dataclass
class SlurmJob:
    """A job that Slurm has.

    Args:
        job: the lab's own job.
        result: the file that it leaves at its end.
        is_unwanted: whether it was asked to stop.
        end_time: when Slurm first reported it as ended, in seconds of time.monotonic().
        state: the state that Slurm reported then.
    """

    job: Job
    result: Path
    is_unwanted: bool = False
    end_time: float | None = None
    state: str = ""

    def code(self) -> int | None:
        """Returns the exit status; None while the job has none."""
        if self.result.exists():
            kind, value = slurmjob.read_result(self.result)
            if kind == "success":
                return int(value)
            return self._record_failure(value.strip().splitlines()[-1])
        if self.end_time is None:
            return None
        seconds_since = time.monotonic() - self.end_time
        if is_finished(self.job.folder):
            return 0
        if seconds_since < GONE_SECONDS and not self.is_unwanted:
            return None
        attempt = find_last_attempt(self.job.folder)
        # it may be of the job's dead worker, or of another runner
        if attempt is not None and attempt.is_alive():
            return None if seconds_since < LIFETIME_SECONDS else EXIT_TAKEN
        if self.is_unwanted:
            return 1
        return self._record_failure(f"Slurm job {self.number}: {self.state}")

    @property
    def number(self) -> str:
        """Returns Slurm's number of the job, with its place in the array."""
        return self.result.name.removesuffix("_0_result.pkl")

    def _record_failure(self, reason: str) -> int:
        with suppress(RunConflict):
            attempt = find_last_attempt(self.job.folder) or begin_attempt(self.job.folder)
            if attempt.status in (None, RunStatus.STOPPED):
                attempt.end(RunStatus.FAILED, reason)
        return 1
