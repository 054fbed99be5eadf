"""The SegNet split, found from frame names alone.

CamVid's 701 frames come from four drives. SegNet's authors tested on the drive Seq05VD and on the
second half of 0001TP, and took for validation a burst of 0016E5, every second frame, that lies in a
gap between its training frames.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from fcn_lab.data.layouts.layout import SPLITS, Pair

COUNTS = {"train": 367, "val": 101, "test": 233}
_FRAME = re.compile(r"(0001TP|0006R0|0016E5|Seq05VD)_f?(\d+)")
_FIRST_TEST_OF_0001TP = 8550
_VAL_OF_0016E5 = range(7959, 8160)


def find_segnet_split(name: str) -> str | None:
    """Returns the split of a frame such as ``0016E5_07959``; None for other names."""
    match = _FRAME.fullmatch(name)
    if not match:
        return None
    drive, number = match[1], int(match[2])
    if drive == "Seq05VD" or (drive == "0001TP" and number >= _FIRST_TEST_OF_0001TP):
        return "test"
    return "val" if drive == "0016E5" and number in _VAL_OF_0016E5 else "train"


def find_drive(name: str) -> str:
    """Returns the drive of a frame such as ``0016E5_07959``; "" for other names."""
    match = _FRAME.fullmatch(name)
    return match[1] if match else ""


def group_by_split(pairs: Iterable[Pair]) -> dict[str | None, tuple[Pair, ...]]:
    """Returns the frames by the split that their names belong to; None holds unknown names."""
    parts: dict[str | None, list[Pair]] = defaultdict(list)
    for pair in pairs:
        parts[find_segnet_split(pair.name)].append(pair)
    return {split: tuple(part) for split, part in parts.items()}


def title_split(pairs: Mapping[str, tuple[Pair, ...]]) -> str:
    """Returns the split's name in the protocol id.

    ``segnet_split`` for all 701 frames where SegNet has them, ``segnet_part_split`` for some of
    them, else ``own_split``.
    """
    if {split: len(part) for split, part in pairs.items()} == COUNTS and _follows_segnet(pairs):
        return "segnet_split"
    return "segnet_part_split" if _follows_segnet(pairs) else "own_split"


def _follows_segnet(pairs: Mapping[str, tuple[Pair, ...]]) -> bool:
    return all(find_segnet_split(pair.name) == split for split in pairs for pair in pairs[split])


def order_splits(parts: Mapping[str | None, tuple[Pair, ...]]) -> dict[str, tuple[Pair, ...]]:
    """Returns the splits that exist, in the order train, val, test."""
    return {split: parts[split] for split in SPLITS if split in parts}
