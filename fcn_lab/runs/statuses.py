"""The statuses of a cell of a sweep, as results.csv and the files of attempts name them."""

from enum import StrEnum


class RunStatus(StrEnum):
    """The status of a cell; as text it is the word that is recorded and printed."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    PRUNED = "pruned"


# cells with these statuses need nothing more
FINAL_STATUSES = frozenset({RunStatus.DONE, RunStatus.PRUNED})
# cells with these statuses went wrong, and the reason is shown
ENDED_EARLY = frozenset({RunStatus.FAILED, RunStatus.STOPPED})
