"""The engines of this machine: ``basic``, one cell at a time, and ``local``, one in each slot."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from itertools import takewhile
from threading import Condition
from typing import Annotated

import psutil
from annotated_types import Ge, Le

from fcn_lab.errors import UserError, first_line
from fcn_lab.runs.attempts import RunConflict, begin_attempt
from fcn_lab.runs.statuses import RunStatus
from fcn_lab.sweeps.engines.base import EndedJob
from fcn_lab.training.machine import CORES_SHARE, count_cores
from fcn_lab.values import check_arguments
from fcn_lab.worker.supervisor import Job, Supervisor

# the number or name of a GPU, or the name of a part of one; CUDA stops at the first other text
_GPU = re.compile(r"\d+|(GPU|MIG)-[\w/-]+")
# the main memory that torch, the data's pages and a small network take
GIGABYTES_A_CELL = 2
AtOnce = Annotated[int, Ge(1), Le(1000)]


class ThreadEngine:
    """An engine of threads, each of which waits for one worker process.

    Args:
        at_once: how many workers run at a time.
    """

    runs_here = True

    def __init__(self, at_once: int) -> None:
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="cell")
        self._jobs: dict[Future[int], tuple[Job, Supervisor]] = {}

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queues the jobs in this order."""
        for job in jobs:
            supervisor = Supervisor(job)
            self._jobs[self._pool.submit(self._run, supervisor)] = (job, supervisor)

    def collect_ended(self, patience: float) -> list[EndedJob]:
        # without jobs the sweep waits for cells of another runner
        if not self._jobs:
            time.sleep(patience)
        futures, _ = wait(self._jobs, patience, FIRST_COMPLETED)
        return [_read_end(self._jobs.pop(future)[0], future) for future in futures]

    def stop(self, jobs: Sequence[Job] | None = None) -> None:
        for job, supervisor in list(self._jobs.values()):
            if jobs is None or job in jobs:
                supervisor.stop(signal.SIGTERM)

    def close(self) -> None:
        self.stop()
        self._pool.shutdown(cancel_futures=True)

    def lease(self, job: Job) -> AbstractContextManager[Mapping[str, str]]:
        """Waits until the job may run; yields the environment that confines it to its share."""
        return nullcontext({})

    def _run(self, supervisor: Supervisor) -> int:
        with self.lease(supervisor.job) as environment:
            supervisor.environment = environment
            return supervisor.run()


def _read_end(job: Job, future: Future[int]) -> EndedJob:
    """Returns how a job ended, which is a failure where its worker could not be started."""
    error = future.exception()
    if error is None:
        return job, future.result()
    print(f"{job.folder.name}: {error}", file=sys.stderr, flush=True)
    # the failure is written down unless the job's folder is gone
    if job.folder.is_dir():
        with suppress(RunConflict, UserError):
            begin_attempt(job.folder).end(RunStatus.FAILED, first_line(error))
    return job, 1


class Basic(ThreadEngine):
    """Runs one cell after the other, each with the whole machine to itself."""

    def __init__(self) -> None:
        super().__init__(at_once=1)


@check_arguments
class Local(ThreadEngine):
    """Runs as many cells at once as this machine has slots; each sees its own devices only.

    Args:
        cells_per_gpu: cells that share one GPU.
        slots: cells at once on the CPU, which divide its threads; None for one a core, or fewer
            where memory is short.
    """

    def __init__(self, cells_per_gpu: AtOnce = 1, slots: AtOnce | None = None) -> None:
        room = int(psutil.virtual_memory().available / 2**30 / GIGABYTES_A_CELL)
        cpus = slots or max(1, min(count_cores(), room))
        self.gpus = DeviceShares(list_visible_gpus(), cells_per_gpu)
        self.cpus = DeviceShares([str(number) for number in range(cpus)], 1)
        super().__init__(at_once=len(self.gpus) + cpus)

    @contextmanager
    def lease(self, job: Job) -> Iterator[Mapping[str, str]]:
        """Leases GPUs where there are any and the cell may use them, else shares of the CPU."""
        on_gpu = len(self.gpus) > 0 and not job.on_cpu
        shares = self.gpus if on_gpu else self.cpus
        share = max(1, count_cores() // len(shares))
        threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(share))}
        with shares.lease(job.devices) as names:
            cores = str(share * len(names))
            gpus = {"CUDA_VISIBLE_DEVICES": ",".join(names), CORES_SHARE: cores}
            yield {**threads, **gpus} if on_gpu else threads


class DeviceShares:
    """A pool of devices, each of which can be held `share_count` times at once.

    Args:
        names: the devices.
        share_count: shares of one device.
    """

    def __init__(self, names: Sequence[str], share_count: int) -> None:
        self._free = Counter({name: share_count for name in names})
        self._total = len(names) * share_count
        self._change = Condition()

    def __len__(self) -> int:
        return self._total

    @contextmanager
    def lease(self, count: int) -> Iterator[list[str]]:
        """Leases a share of `count` devices, the emptiest first, or of all where they are fewer."""
        count = min(count, len(self._free))
        with self._change:
            self._change.wait_for(lambda: sum(free > 0 for free in self._free.values()) >= count)
            names = [name for name, _ in self._free.most_common(count)]
            self._free.subtract(names)
        try:
            yield names
        finally:
            with self._change:
                self._free.update(names)
                self._change.notify_all()


def list_visible_gpus() -> list[str]:
    """Returns the GPUs this process may use, from CUDA_VISIBLE_DEVICES; torch is not asked."""
    variable = os.environ.get("CUDA_VISIBLE_DEVICES")
    if variable is not None:
        return list(takewhile(_GPU.fullmatch, (name.strip() for name in variable.split(","))))
    if shutil.which("nvidia-smi") is None:
        return []
    result = subprocess.run(
        ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.split() if result.returncode == 0 else []
