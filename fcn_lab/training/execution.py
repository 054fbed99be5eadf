"""What belongs to one execution of a run, beside the network and the data."""

from collections.abc import Sequence
from dataclasses import dataclass

from fcn_lab.errors import Omissions
from fcn_lab.runs.run import RunFolder
from fcn_lab.signals import StopRequest
from fcn_lab.training.callbacks.clock import Clock
from fcn_lab.training.loggers.base import RunLogger


@dataclass(frozen=True)
class Execution:
    """What the training of a run and its scoring share.

    Args:
        folder: the run's folder.
        clock: counts the seconds of all its attempts.
        request: holds whether a signal asks to stop.
        loggers: those that could be opened.
        omissions: what cannot be written of the scores, told at the end.
    """

    folder: RunFolder
    clock: Clock
    request: StopRequest
    loggers: Sequence[RunLogger]
    omissions: Omissions
