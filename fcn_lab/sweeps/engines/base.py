"""The contract of every engine: it runs each job once, through a Supervisor.

An engine places jobs on devices and machines and reports how they ended. The sweep decides which
cells there are, and which of them are done, retried or given up.
"""

from collections.abc import Sequence
from typing import Protocol

from fcn_lab.worker.supervisor import Job

EndedJob = tuple[Job, int]


class Engine(Protocol):
    """One way to run jobs.

    Attributes:
        runs_here: whether cells run on this machine, so that its devices can be checked in advance.
    """

    runs_here: bool

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queues the jobs without waiting for one.

        Raises:
            UserError: the engine is not available, or cannot give what a job asks for.
        """

    def collect_ended(self, patience: float) -> list[EndedJob]:
        """Returns the jobs that ended since the last call, with the exit status of their worker.

        It waits at most `patience` seconds for the first. A job that the engine itself lost also
        ends, with a status other than 0. Each submitted job is returned exactly once.
        """

    def stop(self, jobs: Sequence[Job] | None = None) -> None:
        """Asks these jobs, or all, to end where they can be resumed; queued ones never start."""

    def close(self) -> None:
        """Ends everything that the engine has started."""
