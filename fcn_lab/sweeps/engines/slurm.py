"""The engine ``slurm``, where each cell is a job: Slurm places, queues, preempts and requeues.

How a job ended is read from the file it leaves, or from squeue where it left none. Accounting
(sacct), which many clusters have switched off, is not used.
"""

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from importlib.util import find_spec
from io import StringIO
from typing import Any

from fcn_lab.errors import UserError
from fcn_lab.sweeps.engines import slurm_job as slurmjob
from fcn_lab.sweeps.engines.base import EndedJob
from fcn_lab.sweeps.engines.slurm_submission import SlurmJob
from fcn_lab.values import Count, Positive, Whole, check_arguments
from fcn_lab.worker.supervisor import GRACE_SECONDS, Job

# time between two calls of squeue
QUERY_SECONDS = 2.0
# how long before the time limit Slurm warns; it may do so up to a minute earlier
WARNING_SECONDS = 120
UNKNOWN_STATE = "no longer known to Slurm, as one cancelled while it waits"
# squeue's states after which a job does not run again
FINAL_STATES = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"),
    *("PREEMPTED", "TIMEOUT", UNKNOWN_STATE),
}
# squeue's reasons for waiting that do not pass by waiting
HOPELESS_REASONS = {
    *("BadConstraints", "PartitionConfig", "PartitionNodeLimit", "PartitionTimeLimit"),
    "launch failed requeued held",
}


@check_arguments
class Slurm:
    """Submits each cell as a job of one task, and cells with the same request as an array.

    Args:
        partition: Slurm's partition; here and below None leaves the choice to the cluster.
        minutes: a job's time limit. A cell that needs longer is requeued and continues.
        at_once: how many jobs of an array may run at a time.
        gpus: GPUs of one cell; by default its devices, unless it was told to use the CPU.
        cpus: CPUs of one cell; by default as many as its devices.
        gigabytes: main memory of one cell.
        setup: lines of shell that come before the cell, as in "module load cuda".
        extra: further flags of sbatch, by their long names.

    Raises:
        UserError: there is no Slurm here.
    """

    runs_here = False

    def __init__(
        self,
        partition: str | None = None,
        minutes: Count | None = None,
        at_once: Count | None = None,
        gpus: Whole | None = None,
        cpus: Count | None = None,
        gigabytes: Positive | None = None,
        setup: Sequence[str] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        if find_spec("submitit") is None:
            raise UserError("hydra/launcher=slurm needs submitit: pip install 'fcn-lab[slurm]'")
        if shutil.which("sbatch") is None:
            raise UserError(
                "hydra/launcher=slurm: there is no sbatch on the PATH.\n"
                "Type this where jobs are submitted, or take hydra/launcher=local"
            )
        self.partition, self.minutes, self.at_once = partition, minutes, at_once
        self.gpus, self.cpus, self.gigabytes = gpus, cpus, gigabytes
        self.setup, self.extra = setup, extra or {}
        self._queue: dict[str, SlurmJob] = {}
        self._query_time = 0.0

    def request(self, job: Job) -> dict[str, Any]:
        """Returns the job's request in submitit's words; None leaves a choice to the cluster."""
        warning = min(WARNING_SECONDS, 20 * self.minutes) if self.minutes else WARNING_SECONDS
        code = shlex.quote(str(job.code))
        gpus = (0 if job.on_cpu else job.devices) if self.gpus is None else self.gpus
        return {
            "job_name": job.folder.parent.name,
            "partition": self.partition,
            "time": self.minutes,
            "gpus_per_node": gpus or None,
            "cpus_per_task": self.cpus or job.devices,
            "mem": None if self.gigabytes is None else f"{round(self.gigabytes * 1024)}M",
            "setup": [*self.setup, f"export PYTHONPATH={code}${{PYTHONPATH:+:$PYTHONPATH}}"],
            "wckey": None,
            "use_srun": False,
            "stderr_to_stdout": True,
            "additional_parameters": {
                "ntasks": 1,
                "requeue": True,
                "signal": f"{slurmjob.BATCH_ONLY}{slurmjob.WARNING.name[3:]}@{warning}",
                **self.extra,
            },
        }

    def submit(self, jobs: Sequence[Job]) -> None:
        """Submits the jobs with sbatch.

        Raises:
            UserError: sbatch refuses them; the message has its words.
        """
        groups: dict[tuple[int, bool], list[Job]] = {}
        for job in jobs:
            groups.setdefault((job.devices, job.on_cpu), []).append(job)
        for group in groups.values():
            self._submit(group)

    def _submit(self, jobs: Sequence[Job]) -> None:
        from submitit import SlurmExecutor
        from submitit.core.utils import FailedJobError

        # exec lets signals for the script reach Python; -P takes the frozen sources, not those here
        python = f"exec {shlex.quote(sys.executable)} -P"
        executor = SlurmExecutor(jobs[0].folder.parent / "slurm", python=python)
        executor.update_parameters(
            **self.request(jobs[0]), array_parallelism=self.at_once or len(jobs)
        )
        try:
            with redirect_stderr(StringIO()):
                tasks = executor.map_array(slurmjob.run_job, jobs)
        except FailedJobError as error:
            words = str(error).strip().splitlines() or ["sbatch failed"]
            raise UserError(
                f"{words[0]}\nsinfo shows what there is; hydra.launcher.partition=, .minutes=, "
                ".gpus=, .cpus=, .gigabytes= and .extra= change what is asked for"
            ) from error
        for job, task in zip(jobs, tasks, strict=True):
            self._queue[task.job_id] = SlurmJob(job, task.paths.result_pickle)

    def collect_ended(self, patience: float) -> list[EndedJob]:
        deadline = time.monotonic() + patience
        while not (ended_jobs := self._collect_ended()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return ended_jobs

    def _collect_ended(self) -> list[EndedJob]:
        if self._queue and time.monotonic() > self._query_time + QUERY_SECONDS:
            self._query_states()
            self._query_time = time.monotonic()
        codes = {number: cell.code() for number, cell in self._queue.items()}
        return [
            (self._queue.pop(number).job, code)
            for number, code in codes.items()
            if code is not None
        ]

    def _query_states(self) -> None:
        """Asks Slurm about the jobs; where it does not answer, their states stay as they were."""
        command = ["squeue", "--me", "--array", "--states=all", "--noheader", "--format=%i|%T|%r"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            return
        states = dict(line.split("|", 1) for line in answer.stdout.split("\n") if line)
        for number, cell in self._queue.items():
            state, _, reason = states.get(number, UNKNOWN_STATE).partition("|")
            if is_stuck := state == "PENDING" and reason in HOPELESS_REASONS:
                self._cancel([number])
            if not is_stuck and state not in FINAL_STATES:
                cell.end_time = None
            elif cell.end_time is None:
                cell.end_time, cell.state = time.monotonic(), reason if is_stuck else state
        self._stop_unwanted()

    def stop(self, jobs: Sequence[Job] | None = None) -> None:
        for cell in self._queue.values():
            cell.is_unwanted |= jobs is None or cell.job in jobs
        self._stop_unwanted()

    def _stop_unwanted(self) -> None:
        numbers = [number for number, cell in self._queue.items() if cell.is_unwanted]
        self._cancel(numbers, "--state=PENDING")
        self._cancel(numbers, "--batch", f"--signal={slurmjob.STOP.name[3:]}")

    def _cancel(self, numbers: Sequence[str], *flags: str) -> None:
        if numbers:
            subprocess.run(
                ["scancel", "--quiet", *flags, *numbers], capture_output=True, check=False
            )

    def close(self) -> None:
        self.stop()
        deadline = time.monotonic() + GRACE_SECONDS
        while self._queue and time.monotonic() < deadline:
            self.collect_ended(1.0)
        self._cancel(list(self._queue))
