"""What every logger of a run is given, and what it takes.

A word of `logger=` builds a `Factory`, called once the run's folder is known. What that makes is a
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

from fcn_lab.rendering.pictures import Picture
from fcn_lab.signals import Stopped


@dataclass(frozen=True)
class RunInfo:
    """What a logger may know of its run.

    Attributes:
        folder: the run's.
        id: the same for every resume of the run and for no other run.
        words: model, upsample, encoder.
        config: the frozen configuration, plain containers.
        classes: K names.
        palette: K colours.
    """

    folder: Path
    id: str
    words: Mapping[str, str]
    config: Mapping[str, Any]
    classes: Sequence[str]
    palette: Sequence[tuple[int, int, int]]


class RunLogger(Logger):
    """A logger that takes pictures and the end; one that does not care overrides nothing."""

    def show(self, split: str, pictures: Sequence[Picture], step: int) -> None:
        """Predictions on some images of a split."""

    def conclude(
        self, scores: Mapping[str, float], matrices: Mapping[str, NDArray[np.int64]]
    ) -> None:
        """The final scores, and the K×K confusion matrix of each split."""

    def close(self, status: int) -> None:
        """The run's exit status."""


Factory = Callable[[RunInfo], RunLogger]


@contextmanager
def open_loggers(factories: Iterable[Factory], run: RunInfo) -> Iterator[list[RunLogger]]:
    """Yields the loggers of a run, and tells each how the block ended."""
    made: list[RunLogger] = []
    status = 1
    try:
        for factory in factories:
            made.append(factory(run))
        yield made
        status = 0
    except Stopped as stopped:
        status = 128 + stopped.signum
        raise
    finally:
        for logger in made:
            logger.close(status)
