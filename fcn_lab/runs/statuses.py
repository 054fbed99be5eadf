"""The statuses of a cell of a sweep, as results.csv and the files of attempts name them."""

from enum import StrEnum


class RunStatus(StrEnum):
    """How far a cell is; as text it is the word that is recorded and printed."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    PRUNED = "pruned"


# nothing more is to be done about these
FINAL_STATUSES = frozenset({RunStatus.DONE, RunStatus.PRUNED})
# about these something went wrong, and the reason is shown
ENDED_EARLY = frozenset({RunStatus.FAILED, RunStatus.STOPPED})
