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
    """A frame that a finding is about.

    Attributes:
        split: the frame's.
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


def format_frame_count(count: int) -> str:
    """Returns the count with its unit, as in "1 frame" or "3 frames"."""
    return f"{count} frame{'' if count == 1 else 's'}"


def shorten_items(items: list[str], separator: str = ", ") -> str:
    """Returns the first items in a line, and how many more there are."""
    rest = f"{separator}and {len(items) - ITEMS_SHOWN} more" if len(items) > ITEMS_SHOWN else ""
    return separator.join(items[:ITEMS_SHOWN]) + rest
