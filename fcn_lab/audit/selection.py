"""Which frames the page shows of each class."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fcn_lab.audit.facts import DataFacts, FrameFacts

APART = 10  # frames between two that are shown of one drive: neighbours are nearly the same


@dataclass(frozen=True)
class Place:
    """Where a frame stands in a data set, and the share of its pixels that are of some class."""

    split: str
    index: int
    share: float


def group_drives(data: DataFacts) -> dict[str, list[tuple[str, int]]]:
    """Returns drive → split and index of its frames, the drives of most frames first."""
    found: dict[str, list[tuple[str, int]]] = {}
    for name, split in data.splits.items():
        for index, frame in enumerate(split.frames):
            found.setdefault(frame.sequence, []).append((name, index))
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def find_typical(data: DataFacts, k: int, frames: Iterable[tuple[str, int]]) -> Place | None:
    """Returns the frame whose share of class k is the middle one of those that show it."""
    showing = sorted(_list_places(data, k, frames), key=lambda place: place.share)
    return showing[len(showing) // 2] if showing else None


def find_largest(data: DataFacts, k: int, count: int) -> list[Place]:
    """Returns frames that show most of class k, neighbours only where there are no others."""
    every = ((name, i) for name, split in data.splits.items() for i in range(len(split.frames)))
    order = sorted(_list_places(data, k, every), key=lambda place: -place.share)
    chosen: list[Place] = []
    for place in order:
        if len(chosen) < count and not any(_are_neighbours(data, place, one) for one in chosen):
            chosen.append(place)
    rest = (place for place in order if place not in chosen)
    return chosen + [place for place, _ in zip(rest, range(count - len(chosen)), strict=False)]


def rank_rarest(data: DataFacts) -> list[tuple[int, float]]:
    """Returns the classes that are there, with their shares of all pixels, rarest first."""
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


def _are_neighbours(data: DataFacts, one: Place, other: Place) -> bool:
    return (
        one.split == other.split
        and abs(one.index - other.index) < APART
        and _find_frame(data, one).sequence == _find_frame(data, other).sequence
    )


def _find_frame(data: DataFacts, place: Place) -> FrameFacts:
    return data.splits[place.split].frames[place.index]
