"""Runs a sweep: hands its cells to an engine, and ensures that each is done once."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fcn_lab.files import follow_links
from fcn_lab.runs.attempts import EXIT_TAKEN, find_last_attempt
from fcn_lab.runs.names import SWEEP_CODE
from fcn_lab.runs.statuses import FINAL_STATUSES, RunStatus
from fcn_lab.runs.sweep import Cell, Progress, SweepFolder
from fcn_lab.signals import StopRequest
from fcn_lab.sweeps.engines.base import Engine
from fcn_lab.sweeps.status import SweepWatch
from fcn_lab.values import Positive, Whole, check_arguments
from fcn_lab.worker.supervisor import EXIT_MISTAKE, Job

TICK_SECONDS = 1.0


@check_arguments
@dataclass(frozen=True)
class Policy:
    """The rules of a sweep for cells that fail or take too long.

    Args:
        retries: how often a failed cell is tried again, each time from its last checkpoint.
        on_failure: "stop" ends the sweep at the first cell that failed for good.
        timeout: minutes that one attempt may take; None for as long as it wants.
    """

    retries: Whole = 0
    on_failure: Literal["continue", "stop"] = "continue"
    timeout: Positive | None = None


@dataclass
class Sweep:
    """Runs the cells of a folder that are not done.

    The sweep waits for a cell that another runner has, and runs it itself if that runner dies.

    Args:
        record: the folder.
        cells: the cells of the folder to run.
        engine: the engine that runs them.
        policy: the rules for cells that fail.
        is_unpromising: is asked repeatedly about every running cell; a cell for which it returns
            True is stopped and marked as pruned.
        conclude: whether to print the table of all cells at the end.
    """

    record: SweepFolder
    cells: Sequence[Cell]
    engine: Engine
    policy: Policy = field(default_factory=Policy)
    is_unpromising: Callable[[Cell], bool] = field(default=lambda cell: False)
    conclude: bool = True

    def run(self) -> dict[str, Progress]:
        """Returns the progress of every cell by name, once no more can be done.

        Raises:
            StoppedBySignal: Ctrl-C or SIGTERM came; it is raised after the workers have ended.
            UserError: the engine refuses a job.
        """
        self._jobs = {self._create_job(cell): cell for cell in self.cells}
        self._tries: Counter[Job] = Counter()
        self._taken_jobs: set[Job] = set()
        self._pruned_jobs: set[Job] = set()
        self._is_stopping = False
        with StopRequest() as request, SweepWatch(self.record, self.conclude) as watch:
            try:
                job_count = self._submit(self._jobs)
                while job_count or self._taken_jobs:
                    for job, code in self.engine.collect_ended(TICK_SECONDS):
                        job_count += self._handle_end(job, code) - 1
                    if request.signum is not None:
                        self._stop_all()
                    job_count += self._resubmit_free_jobs()
                    self._prune()
                    watch.update()
            finally:
                self.engine.close()
        request.obey()
        return watch.progress

    def _create_job(self, cell: Cell) -> Job:
        code = self.record.path / SWEEP_CODE / self.record.code
        folder, cwd = follow_links(cell.folder), Path.cwd()
        return Job(folder, code.resolve(), cwd, cell.devices, cell.on_cpu, self.policy.timeout)

    def _submit(self, jobs: Iterable[Job]) -> int:
        open_jobs = [job for job in jobs if not self._is_final(job)]
        self.engine.submit(open_jobs)
        self._tries.update(open_jobs)
        return len(open_jobs)

    def _is_final(self, job: Job) -> bool:
        """Returns whether a job needs no more work; records an end that a killed runner missed."""
        status = self._jobs[job].read_progress().status
        if (
            status == RunStatus.DONE
            and (attempt := find_last_attempt(job.folder))
            and attempt.status is None
        ):
            attempt.end(RunStatus.DONE)
        return status in FINAL_STATUSES

    def _handle_end(self, job: Job, code: int) -> int:
        """Decides what follows from a job's end; returns the number of jobs submitted again."""
        if code == EXIT_TAKEN:
            self._tries[job] -= 1
            if not self._is_stopping:
                self._taken_jobs.add(job)
        elif job in self._pruned_jobs and (attempt := find_last_attempt(job.folder)) is not None:
            attempt.end(RunStatus.PRUNED)
        elif code != 0 and not self._is_stopping and not self._is_final(job):
            if code != EXIT_MISTAKE and self._tries[job] <= self.policy.retries:
                return self._submit([job])
            if self.policy.on_failure == "stop":
                self._stop_all()
        return 0

    def _stop_all(self) -> None:
        if not self._is_stopping:
            self._is_stopping = True
            self._taken_jobs.clear()
            self.engine.stop()

    def _resubmit_free_jobs(self) -> int:
        """Submits the unfinished cells that another runner has left or died with."""
        jobs = [
            job
            for job in self._taken_jobs
            if self._jobs[job].read_progress().status != RunStatus.RUNNING
        ]
        self._taken_jobs.difference_update(jobs)
        return self._submit(jobs)

    def _prune(self) -> None:
        for job, cell in self._jobs.items():
            if job not in self._pruned_jobs and self.is_unpromising(cell):
                self._pruned_jobs.add(job)
                self.engine.stop([job])
