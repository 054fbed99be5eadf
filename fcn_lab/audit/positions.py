"""The distance between the frames of a split and the training frames of the same drive."""

from bisect import bisect
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from fcn_lab.audit.facts import DataFacts, FrameFacts


@dataclass(frozen=True)
class DriveSpan:
    """The frames of one drive in one split; numbers are those in the frames' names.

    Attributes:
        split: the split.
        drive: the drive, or what names without their number have in common.
        count: frames.
        first: number of the first one; None where names have no numbers.
        last: number of the last one; None where names have no numbers.
        step: the commonest distance from frame to frame.
        nearest: least distance to a training frame of the same drive; None where there is none.
        median: the middle one of those distances.
        before: the last training frame in front of the first.
        after: the first training frame behind the last.
    """

    split: str
    drive: str
    count: int
    first: int | None = None
    last: int | None = None
    step: int | None = None
    nearest: int | None = None
    median: float | None = None
    before: int | None = None
    after: int | None = None


def find_spans(data: DataFacts) -> Iterator[DriveSpan]:
    """Yields every drive of every split with its distance to training."""
    train = data.splits["train"].drives if "train" in data.splits else {}
    for name, split in data.splits.items():
        for drive, frames in split.drives.items():
            train_numbers = _list_numbers(train.get(drive, [])) if name != "train" else []
            yield _measure_span(name, drive, _list_numbers(frames), len(frames), train_numbers)


def find_nearest(number: int, numbers: Sequence[int]) -> int:
    """Returns which of these numbers, in order, is nearest; of two as near the smaller."""
    place = bisect(numbers, number)
    return min(numbers[max(place - 1, 0) : place + 1], key=lambda other: abs(number - other))


def _list_numbers(frames: list[FrameFacts]) -> list[int]:
    return sorted(frame.number for frame in frames if frame.number is not None)


def _measure_span(
    split: str, drive: str, numbers: list[int], count: int, train_numbers: list[int]
) -> DriveSpan:
    if not numbers:
        return DriveSpan(split, drive, count)
    steps = Counter(b - a for a, b in pairwise(numbers))
    step = steps.most_common(1)[0][0] if steps else None
    first, last = numbers[0], numbers[-1]
    if not train_numbers:
        return DriveSpan(split, drive, count, first, last, step)
    distances = [abs(number - find_nearest(number, train_numbers)) for number in numbers]
    return DriveSpan(
        split,
        drive,
        count,
        first,
        last,
        step,
        min(distances),
        float(median(distances)),
        max((n for n in train_numbers if n < first), default=None),
        min((n for n in train_numbers if n > last), default=None),
    )
