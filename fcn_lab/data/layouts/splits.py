"""The SegNet split, told from frame names alone.

CamVid's 701 frames come from four drives. SegNet's authors tested on the drive Seq05VD and on the
second half of 0001TP, and took for validation a burst of 0016E5, every second frame, that lies in a
gap between its training frames.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fcn_lab.data.layouts.layout import SPLITS, Pair

COUNTS = {"train": 367, "val": 101, "test": 233}
_FRAME = re.compile(r"(0001TP|0006R0|0016E5|Seq05VD)_f?(\d+)")
_FIRST_TEST_OF_0001TP = 8550
_VAL_OF_0016E5 = range(7959, 8160)


@dataclass(frozen=True)
class FrameName:
    """A CamVid frame: the drive it is from and its number in the video."""

    drive: str
    number: int


def segnet_split(name: str) -> str | None:
    """The split of a frame such as ``0016E5_07959``; None where the name is not CamVid's."""
    match = _FRAME.fullmatch(name)
    if not match:
        return None
    frame = FrameName(match[1], int(match[2]))
    late_0001tp = frame.drive == "0001TP" and frame.number >= _FIRST_TEST_OF_0001TP
    if frame.drive == "Seq05VD" or late_0001tp:
        return "test"
    return "val" if frame.drive == "0016E5" and frame.number in _VAL_OF_0016E5 else "train"


def drive_of(name: str) -> str:
    """The drive that a frame such as ``0016E5_07959`` is from; "" for a name not CamVid's."""
    match = _FRAME.fullmatch(name)
    return match[1] if match else ""


def by_name(pairs: Iterable[Pair]) -> dict[str | None, tuple[Pair, ...]]:
    """Frames sorted into the splits of their names; those of no known name under None."""
    parts: dict[str | None, list[Pair]] = defaultdict(list)
    for pair in pairs:
        parts[segnet_split(pair.name)].append(pair)
    return {split: tuple(part) for split, part in parts.items()}


def segnet_title(pairs: Mapping[str, tuple[Pair, ...]]) -> str:
    """The split's name.

    ``segnet_split`` for all 701 frames where SegNet has them, ``segnet_part_split`` for some of
    them, else ``own_split``.
    """
    if {split: len(part) for split, part in pairs.items()} == COUNTS and _follows(pairs):
        return "segnet_split"
    return "segnet_part_split" if _follows(pairs) else "own_split"


def _follows(pairs: Mapping[str, tuple[Pair, ...]]) -> bool:
    return all(segnet_split(pair.name) == split for split in pairs for pair in pairs[split])


def ordered(parts: Mapping[str | None, tuple[Pair, ...]]) -> dict[str, tuple[Pair, ...]]:
    """The parts that exist, in the order train, val, test."""
    return {split: parts[split] for split in SPLITS if split in parts}
