"""Chooses the frames that the page shows of each class."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fcn_lab.audit.facts import DataFacts, FrameFacts

# the least distance in frames between two of one drive: neighbours are nearly the same
SMALLEST_DISTANCE = 10


@dataclass(frozen=True)
class Place:
    """Where a frame stands in a data set, and the share of its pixels that are of some class."""

    split: str
    index: int
    share: float


def group_drives(data: DataFacts) -> dict[str, list[tuple[str, int]]]:
    """Returns drive → split and index of its frames, the drives of most frames first."""
    drives: dict[str, list[tuple[str, int]]] = {}
    for name, split in data.splits.items():
        for index, frame in enumerate(split.frames):
            drives.setdefault(frame.sequence, []).append((name, index))
    return dict(sorted(drives.items(), key=lambda item: -len(item[1])))


def find_typical(data: DataFacts, k: int, frames: Iterable[tuple[str, int]]) -> Place | None:
    """Returns the frame whose share of class k is the middle one of those that show it."""
    places = sorted(_list_places(data, k, frames), key=lambda place: place.share)
    return places[len(places) // 2] if places else None


def find_largest(data: DataFacts, k: int, count: int) -> list[Place]:
    """Returns the frames that show most of class k; neighbours only where there are no others."""
    frames = ((name, i) for name, split in data.splits.items() for i in range(len(split.frames)))
    order = sorted(_list_places(data, k, frames), key=lambda place: -place.share)
    picks: list[Place] = []
    for place in order:
        if len(picks) < count and not any(_are_neighbours(data, place, pick) for pick in picks):
            picks.append(place)
    rest = (place for place in order if place not in picks)
    return picks + [place for place, _ in zip(rest, range(count - len(picks)), strict=False)]


def rank_rarest(data: DataFacts) -> list[tuple[int, float]]:
    """Returns the classes that occur, with their shares of all pixels, rarest first."""
    totals = sum(
        (split.counts.sum(0) for split in data.splits.values()),
        np.zeros(len(data.classes), np.int64),
    )
    shares = totals / max(int(totals.sum()), 1)
    return [(int(k), float(shares[k])) for k in np.argsort(shares, kind="stable") if shares[k]]


def _list_places(data: DataFacts, k: int, frames: Iterable[tuple[str, int]]) -> Iterator[Place]:
    for name, index in frames:
        split = data.splits[name]
        if count := int(split.frames[index].counts[k]):
            yield Place(name, index, count / split.pixels[index])


def _are_neighbours(data: DataFacts, first: Place, second: Place) -> bool:
    return (
        first.split == second.split
        and abs(first.index - second.index) < SMALLEST_DISTANCE
        and _find_frame(data, first).sequence == _find_frame(data, second).sequence
    )


def _find_frame(data: DataFacts, place: Place) -> FrameFacts:
    return data.splits[place.split].frames[place.index]
