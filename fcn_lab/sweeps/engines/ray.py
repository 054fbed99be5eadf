"""The engine of Ray, on a cluster joined by its address or started here for the sweep.

Ray leases the devices and spreads the cells over its nodes; a Ray task is one Supervisor, so that
the cell's process is a fresh one there too. Nodes see the sweep's folder (and with it the frozen
code) under the same path, and have fcn_lab installed. https://docs.ray.io/en/latest/ray-core/
"""

import logging
import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from fcn_lab.errors import UserError
from fcn_lab.runs.attempts import RunConflict, begin_attempt, find_last_attempt
from fcn_lab.runs.statuses import RunStatus
from fcn_lab.signals import SIGNALS
from fcn_lab.sweeps.engines.base import EndedJob
from fcn_lab.training.machine import count_cores
from fcn_lab.values import NotNegative, Positive, check_arguments
from fcn_lab.worker.supervisor import GRACE_SECONDS, Job, Supervisor

if TYPE_CHECKING:
    from ray import ObjectRef

CONNECT_SECONDS = 5.0
EXIT_STOPPED = 128 + signal.SIGTERM
# the variables of the runner that hold on every node; CUDA_VISIBLE_DEVICES and PATH do not
INHERITED_VARIABLES = ("FCN_LAB_", "WANDB_", "PYTHONPATH", "OMP_NUM_THREADS")
# set before Ray is imported, unless the user has set them
QUIET_VARIABLES = {
    # keeps Ray from reporting to its makers
    "RAY_USAGE_STATS_ENABLED": "0",
    # keeps Ray from warning of a future default
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # keeps Ray from a paragraph about a dead worker, whose reason the lab records
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
}
# bytes of shared memory, about Ray's least, since only exit statuses are sent
OBJECT_STORE_BYTES = 80 * 2**20


def run_job(job: Job, environment: Mapping[str, str]) -> int:
    """Supervises the job's worker, which sees the leased devices only: the Ray task."""
    import ray

    # the process works for this runner alone
    os.environ.update(environment)
    gpus = ray.get_runtime_context().get_accelerator_ids()["GPU"]
    supervisor = Supervisor(job, {"CUDA_VISIBLE_DEVICES": ",".join(gpus)})
    with _stop_at_signals(supervisor):
        return supervisor.run()


@contextmanager
def _stop_at_signals(supervisor: Supervisor) -> Iterator[None]:
    """Lets ray.cancel (SIGINT) and Ray's own end (SIGTERM) give the worker time to end."""
    stop = lambda signum, frame: supervisor.stop(signal.SIGTERM)  # noqa: E731
    handlers = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@check_arguments
class Ray:
    """An engine of Ray tasks.

    Args:
        address: HOST:PORT of a cluster's head, from one of its nodes; "auto" for the one that runs
            here; None to start Ray on this machine.
        gpus_per_cell: GPUs leased to a cell, fractions allowed; None for as many as it trains on,
            where the cluster has any. A cell told to use the CPU gets none.
        cpus_per_cell: CPUs leased to a cell; None for one a device it trains on.

    Raises:
        UserError: Ray is not installed, the cluster does not answer, an option is out of range.
    """

    task = staticmethod(run_job)

    def __init__(
        self,
        address: str | None = None,
        gpus_per_cell: NotNegative | None = None,
        cpus_per_cell: Positive | None = None,
    ) -> None:
        gpus = gpus_per_cell or 0
        if gpus > 1 and gpus % 1:
            raise UserError(
                f"hydra.launcher.gpus_per_cell={gpus:g}: expected a part of one GPU, "
                "or a whole number of them"
            )
        self.runs_here = address is None
        self._gpus, self._cpus = gpus_per_cell, cpus_per_cell
        self._tasks: dict[ObjectRef[int], Job] = {}
        self._lost: dict[Job, str] = {}
        _connect(address)
        import ray

        self._ray = ray
        self._nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        self._run = ray.remote(max_retries=0, scheduling_strategy="SPREAD")(self.task)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queues the jobs with Ray, which starts each where its lease is free.

        Raises:
            UserError: no node is large enough.
        """
        for job in jobs:
            self._require_a_node(job)
        variables = {k: v for k, v in os.environ.items() if k.startswith(INHERITED_VARIABLES)}
        for job in jobs:
            lease = self.lease(job)
            threads = {"OMP_NUM_THREADS": str(max(1, int(lease["CPU"] // job.devices)))}
            task = self._run.options(num_cpus=lease["CPU"], num_gpus=lease["GPU"])
            self._tasks[task.remote(job, {**threads, **variables})] = job

    def collect_ended(self, patience: float) -> list[EndedJob]:
        from ray.exceptions import RayError, TaskCancelledError

        ended_jobs: list[EndedJob] = []
        for task in self._wait_for_results(patience):
            job = self._tasks.pop(task)
            try:
                ended_jobs.append((job, self._ray.get(task)))
            except TaskCancelledError:
                ended_jobs.append((job, EXIT_STOPPED))
            except RayError as error:
                self._lost[job] = f"Ray lost it: {_first_sentence(error)}"
        for job in [job for job in self._lost if not _is_at_work(job)]:
            _record_end(job, self._lost.pop(job))
            ended_jobs.append((job, 1))
        return ended_jobs

    def stop(self, jobs: Sequence[Job] | None = None) -> None:
        for task, job in self._tasks.items():
            if jobs is None or job in jobs:
                self._ray.cancel(task)

    def close(self) -> None:
        self.stop()
        deadline = time.monotonic() + 2 * GRACE_SECONDS
        while self._tasks and time.monotonic() < deadline:
            self.collect_ended(1.0)
        self._ray.shutdown()

    def lease(self, job: Job) -> dict[str, float]:
        """Returns the CPUs and GPUs that the job needs, all on one node."""
        largest = {name: max(node.get(name, 0) for node in self._nodes) for name in ("CPU", "GPU")}
        gpus = self._gpus if self._gpus is not None else min(largest["GPU"], 1) * job.devices
        cpus = self._cpus or min(largest["CPU"], job.devices)
        return {"CPU": cpus, "GPU": 0 if job.on_cpu else gpus}

    def _require_a_node(self, job: Job) -> None:
        lease = self.lease(job)
        if any(all(node.get(k, 0) >= v for k, v in lease.items()) for node in self._nodes):
            return
        sizes = sorted({f"{n.get('GPU', 0):g} and {n.get('CPU', 0):g}" for n in self._nodes})
        raise UserError(
            f"{job.folder.name} asks for {lease['GPU']:g} GPUs and {lease['CPU']:g} CPUs on one "
            f"node; those of the Ray cluster have {', '.join(sizes)}.\n"
            "trainer.devices=, hydra.launcher.gpus_per_cell= and hydra.launcher.cpus_per_cell= "
            "say how many."
        )

    def _wait_for_results(self, patience: float) -> list["ObjectRef[int]"]:
        tasks = list(self._tasks)
        if not tasks:
            time.sleep(patience)
        elif self._ray.wait(tasks, timeout=patience)[0]:
            return self._ray.wait(tasks, num_returns=len(tasks), timeout=0)[0]
        return []


def _connect(address: str | None) -> None:
    for name, value in QUIET_VARIABLES.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ModuleNotFoundError as error:
        raise UserError(
            "hydra/launcher=ray needs Ray, which is not installed: pip install 'fcn-lab[ray]'"
        ) from error
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    join = partial(ray.init, log_to_driver=False, configure_logging=False)
    if address is None:
        join(
            "local",
            num_cpus=count_cores(),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
        )
        return
    try:
        host, _, port = address.rpartition(":")
        # tried first, since Ray itself would try for a minute
        if host:
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        join(address)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"hydra.launcher.address={address} leads to no Ray cluster: {_first_sentence(error)}.\n"
            "Expected the HOST:PORT that `ray start --head` printed, from a machine of the "
            "cluster, or auto for the one this machine is part of."
        ) from error


def _first_sentence(error: Exception) -> str:
    """Returns the first sentence of an error, or of its cause if it is from inside a task."""
    cause = getattr(error, "cause", None) or error
    return (str(cause).splitlines() or [type(cause).__name__])[0].partition(". ")[0].rstrip(".")


def _is_at_work(job: Job) -> bool:
    """Returns whether a worker still runs after its Ray process, since it needs seconds to end.

    On a machine that is gone or out of reach the worker counts as running until its heartbeat ends.
    """
    attempt = find_last_attempt(job.folder)
    return attempt is not None and attempt.is_alive()


def _record_end(job: Job, reason: str) -> None:
    """Writes down the end of a job whose Supervisor could not."""
    attempt = find_last_attempt(job.folder)
    with suppress(RunConflict):
        if attempt is None or attempt.status is not None:
            attempt = begin_attempt(job.folder)
        attempt.end(RunStatus.FAILED, reason)
