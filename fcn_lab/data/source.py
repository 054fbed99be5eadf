"""The contract of every data source: the classes, the splits and their frames."""

from collections.abc import Iterator
from typing import Protocol

from fcn_lab.data.frames import Frames
from fcn_lab.data.survey import FrameSurvey
from fcn_lab.errors import UserError
from fcn_lab.pixels import Colour


class Source(Protocol):
    """The origin of frames; every ``data=`` word builds one.

    Attributes:
        splits: the splits it has; ``frames`` refuses others.
        protocol: ``classes-size-void rule-split``; numbers with the same protocol can be compared.
    """

    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    protocol: str
    splits: tuple[str, ...]

    def frames(self, split: str) -> Frames:
        """Returns the decoded frames of one split.

        Raises:
            UserError: there is no such split, or its files are not sound.
        """
        ...

    def survey(self, split: str) -> Iterator[FrameSurvey]:
        """Yields the frames of one split as they lie in their files, sound or not."""
        ...

    def describe(self) -> str:
        """Returns one or two lines: what was found, the counts, the split, the protocol id."""
        ...


def require_split(split: str, splits: tuple[str, ...]) -> None:
    """Refuses a split that a source does not have.

    Raises:
        UserError: there is no such split; the message lists those there are.
    """
    if split not in splits:
        raise UserError(
            f"There is no split {split!r} here; expected data.split={'|'.join(splits)}."
        )
