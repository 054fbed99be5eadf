"""What every engine does: run jobs, each once, each through a Supervisor.

An engine places jobs on devices and machines and says how they ended. Which cells there are, which
of them are done, retried or given up is the sweep's business.
"""

from collections.abc import Sequence
from typing import Protocol

from fcn_lab.worker.supervisor import Job

EndedJob = tuple[Job, int]


class Engine(Protocol):
    """One way to run jobs.

    Attributes:
        runs_here: whether cells run on this very machine, so that its devices can be checked now.
    """

    runs_here: bool

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queues them; none is waited for.

        Raises:
            UserError: the engine is not there, or cannot give what a job asks for.
        """

    def collect_ended(self, patience: float) -> list[EndedJob]:
        """Returns the jobs that ended since the last call, with the exit status of their worker.

        Waits at most `patience` seconds for the first. A job that the engine itself lost ends too,
        with a status other than 0. Each submitted job is given back exactly once.
        """

    def stop(self, jobs: Sequence[Job] | None = None) -> None:
        """Asks these jobs, or all, to end where they can be resumed; those queued never start."""

    def close(self) -> None:
        """Leaves nothing of the engine running."""
