"""One conclusion from the numbers of an audit, with the frames that show it."""

from dataclasses import dataclass
from enum import IntEnum

ITEMS_SHOWN = 3


class Level(IntEnum):
    """The severity of a finding; the lowest value is the worst."""

    WRONG = 0
    CAREFUL = 1
    KNOWN = 2


@dataclass(frozen=True)
class Evidence:
    """A frame that shows what a finding says.

    Attributes:
        split: the frame's split.
        frame: its name.
        marked: the class that its picture marks, or SPOILT for its mask; "" for none.
    """

    split: str
    frame: str
    marked: str = ""


SPOILT = "spoilt pixels"


@dataclass(frozen=True)
class Finding:
    """One conclusion: what was found, what it means, and the frames that show it."""

    level: Level
    title: str
    text: str = ""
    frames: tuple[Evidence, ...] = ()
