"""Runs inside a Slurm job: the Supervisor of one worker, which stops when Slurm asks for it.

Slurm speaks in signals. SIGUSR2 comes to this process alone, ahead of the time limit. SIGTERM comes
to the worker too, at a preemption, `scontrol requeue` or scancel. SIGINT is `Slurm.stop`.
"""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from fcn_lab.runs.attempts import EXIT_TAKEN, find_last_attempt
from fcn_lab.runs.names import LAST_CHECKPOINT
from fcn_lab.runs.statuses import RunStatus
from fcn_lab.worker.supervisor import Job, Supervisor

# makes sbatch's --signal address the script's own process, which becomes this one
BATCH_ONLY = "B:"
WARNING, STOP = signal.SIGUSR2, signal.SIGINT


def run_job(job: Job) -> int:
    """Returns the worker's exit status, unless the job goes back into Slurm's queue.

    Raises:
        SystemExit: the job is in Slurm's queue again.
    """
    number = os.environ["SLURM_JOB_ID"]
    threads = int(os.environ.get("SLURM_CPUS_PER_TASK", "1")) // job.devices or 1
    environment = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))}
    _hide_slurm()
    supervisor = Supervisor(job, environment)
    signals: list[int] = []

    def hear(signum: int, frame: FrameType | None) -> None:
        signals.append(signum)
        # a second SIGTERM would kill the worker at once
        if signum != signal.SIGTERM:
            supervisor.stop(signal.SIGTERM)

    for signum in (WARNING, STOP, signal.SIGTERM):
        signal.signal(signum, hear)
    checkpoint_time = _read_checkpoint_time(job.folder)
    code = supervisor.run()
    if code in (0, EXIT_TAKEN) or not signals or STOP in signals:
        return code
    if signals[0] == WARNING and _read_checkpoint_time(job.folder) == checkpoint_time:
        _record_lack_of_time(job.folder)
        return code
    if _query_state(number) == "RUNNING":
        result = subprocess.run(["scontrol", "requeue", number], check=False)
        if result.returncode != 0:
            return code
    sys.exit(f"exit status {code}; job {number} is Slurm's again")


class _PlainUnpickler(pickle.Unpickler):
    """Reads numbers and texts alone, since a stranger's folder may hold pickles that run code."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def read_result(path: Path) -> tuple[str, Any]:
    """Reads submitit's file of a job: "success" and its exit status, or "error" and a text."""
    try:
        with path.open("rb") as file:
            kind, value = _PlainUnpickler(file).load()
        return str(kind), value
    # an unpickler raises any kind of error for damaged bytes
    except Exception as error:
        return "error", f"{path} cannot be read: {error}"


def _hide_slurm() -> None:
    """Removes Slurm's variables, by which Lightning would take its tasks for the cell's ranks."""
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SUBMITIT_"))]:
        del os.environ[name]


def _read_checkpoint_time(folder: Path) -> int:
    """Returns when the last checkpoint was written."""
    path = folder / LAST_CHECKPOINT
    return path.stat().st_mtime_ns if path.exists() else 0


def _record_lack_of_time(folder: Path) -> None:
    attempt = find_last_attempt(folder)
    if attempt is not None:
        attempt.end(RunStatus.FAILED, "Slurm's time limit came before the first checkpoint")


def _query_state(number: str) -> str:
    command = ["squeue", "--noheader", "--format=%T", f"--jobs={number}"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
