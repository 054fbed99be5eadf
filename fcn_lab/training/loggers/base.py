"""The contract of a run's loggers, and the facts that they get.

A word of `logger=` builds a `Factory`, called once the run's folder is known. It returns a
Lightning logger that also takes pictures, the final scores and the end of the run.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger
from numpy.typing import NDArray

from fcn_lab.errors import Omissions, WriteFailure, find_refusal
from fcn_lab.metrics.scores import compute_scores
from fcn_lab.rendering.pictures import Picture
from fcn_lab.signals import StoppedBySignal
from fcn_lab.training.ranks import is_first_rank


@dataclass(frozen=True)
class RunInfo:
    """The facts about a run that its loggers may use.

    Attributes:
        folder: the run's folder.
        id: a name that every resume of the run has and no other run.
        words: the words of the groups model, upsample and encoder.
        config: the frozen configuration in plain containers.
        classes: the names of the K classes.
        palette: the colours of the K classes.
    """

    folder: Path
    id: str
    words: Mapping[str, str]
    config: Mapping[str, Any]
    classes: Sequence[str]
    palette: Sequence[tuple[int, int, int]]


class RunLogger(Logger):
    """A logger that also takes pictures, the final scores and the end; each may be ignored.

    Only the first rank gives it these.
    """

    def show(self, split: str, pictures: Sequence[Picture], step: int) -> None:
        """Logs predictions on some images of a split."""

    def conclude(
        self, scores: Mapping[str, float], matrices: Mapping[str, NDArray[np.int64]]
    ) -> None:
        """Logs the final scores, and the K×K confusion matrix of each split."""

    def close(self, status: int) -> None:
        """Ends the log with the run's exit status."""


def list_class_scores(
    matrix: NDArray[np.int64], classes: Sequence[str]
) -> list[tuple[str, float | None, float | None]]:
    """Returns name, IoU and accuracy of each class, the last two in 0…1, of a K×K matrix."""
    scores = compute_scores(matrix, classes)
    return [(name, scores["iou"][name], scores["accuracy"][name]) for name in classes]


@contextmanager
def guard_library(folder: Path) -> Iterator[None]:
    """Turns what a logger's library meets on a full or read-only disk into two lines for the user.

    Args:
        folder: the folder that the library writes into; it also uses that of temporary files.

    Raises:
        WriteFailure: something could not be written.
    """
    try:
        yield
    except WriteFailure:
        raise
    except Exception as error:
        if (refusal := find_refusal(error, folder)) is None:
            raise
        raise WriteFailure(refusal) from error


Factory = Callable[[RunInfo], RunLogger]


@contextmanager
def open_loggers(
    factories: Iterable[Factory], run: RunInfo, omissions: Omissions
) -> Iterator[list[RunLogger]]:
    """Yields the loggers of a run; closes each with the exit status of the block.

    Args:
        factories: build the loggers.
        run: the facts that they get.
        omissions: notes a log that could not be written to its end.
    """
    loggers: list[RunLogger] = []
    status = 1
    try:
        for factory in factories:
            loggers.append(factory(run))
        yield loggers
        status = 0
    except StoppedBySignal as stop:
        status = 128 + stop.signum
        raise
    finally:
        for logger in loggers if is_first_rank() else ():
            with omissions.note():
                logger.close(status)
