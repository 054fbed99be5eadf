"""The contract of every data source: the classes, the splits and their frames."""

from collections.abc import Iterator
from typing import Protocol

from fcn_lab.data.classes import Colour
from fcn_lab.data.frames import Frames
from fcn_lab.data.survey import Surveyed
from fcn_lab.errors import UserError


class Source(Protocol):
    """Where frames come from; every ``data=`` word builds one.

    Attributes:
        splits: the splits it has; ``frames`` refuses others
        protocol: ``classes-size-void rule-split``, what a number must carry to be compared
    """

    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    protocol: str
    splits: tuple[str, ...]

    def frames(self, split: str) -> Frames:
        """One split, decoded.

        Raises:
            UserError: there is no such split, or its files are not sound
        """
        ...

    def survey(self, split: str) -> Iterator[Surveyed]:
        """The frames of one split as they lie in their files, sound or not."""
        ...

    def describe(self) -> str:
        """One or two lines: what was found, the counts, the split, the protocol id."""
        ...


def require_split(split: str, splits: tuple[str, ...]) -> None:
    """Refuses a split that a source does not have.

    Raises:
        UserError: with the splits there are
    """
    if split not in splits:
        raise UserError(
            f"There is no split {split!r} here; expected data.split={'|'.join(splits)}."
        )
