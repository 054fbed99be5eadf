"""All that is measured of a data set, in one object that tables, pages and JSON are made of."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fcn_lab.audit.copying import copied, lookalikes
from fcn_lab.audit.facts import DataFacts, FrameFacts, SplitFacts, gather
from fcn_lab.audit.interpolation import looks_interpolated
from fcn_lab.audit.positions import Stretch, stretches
from fcn_lab.audit.weights import class_weights
from fcn_lab.data.classes import VOID
from fcn_lab.data.source import Source
from fcn_lab.metrics.confusion import SplitScores


@dataclass(frozen=True)
class Damage:
    """What interpolation or strange values did to the labels of one split.

    Attributes:
        interpolated: whether it was interpolation
        share: spoilt pixels among all, as stored
        by_class: name, "void" included → spoilt pixels nearest to a sound one of that class,
            among all that then are its
    """

    interpolated: bool
    share: float
    by_class: Mapping[str, float]


@dataclass(frozen=True)
class Twins:
    """Frames that are the same picture, pixel by pixel; `labels` of them differ."""

    names: tuple[str, ...]
    splits: tuple[str, ...]
    labels: int


@dataclass(frozen=True)
class Audit:
    """A data set, measured."""

    data: DataFacts

    @classmethod
    def of(cls, source: Source) -> "Audit":
        """Reads every frame once."""
        return cls(gather(source))

    @cached_property
    def copies(self) -> dict[str, dict[str, SplitScores]]:
        """Split → rule → scores of copied labels."""
        return copied(self.data)

    @cached_property
    def stretches(self) -> list[Stretch]:
        """The drives of every split."""
        return list(stretches(self.data))

    @cached_property
    def damage(self) -> dict[str, Damage]:
        """By split, where its labels look interpolated or hold values of no class."""
        found = {name: self._damage(split) for name, split in self.data.splits.items()}
        return {name: damage for name, damage in found.items() if damage is not None}

    @cached_property
    def twins(self) -> list[Twins]:
        """Every picture that occurs more than once."""
        groups: dict[str, list[tuple[str, FrameFacts]]] = defaultdict(list)
        for name, split in self.data.splits.items():
            for frame in split.frames:
                groups[frame.image].append((name, frame))
        return [
            Twins(
                tuple(frame.name for _, frame in group),
                tuple(sorted({split for split, _ in group})),
                len({frame.label for _, frame in group}),
            )
            for group in groups.values()
            if len(group) > 1
        ]

    @cached_property
    def weights(self) -> dict[str, NDArray[np.float64]]:
        """Definition → (K,) class weights of the training set."""
        train = self.data.splits.get("train")
        if train is None or not train.frames:
            return {}
        return class_weights(train.counts, train.labels[0].size)

    @cached_property
    def closest(self) -> dict[str, list[tuple[int, int, float]]]:
        """Split → its frame's and the training frame's place and difference, most alike first."""
        train = self.data.splits.get("train")
        if train is None or not train.frames:
            return {}
        found = {}
        for name, split in self.data.others:
            places, differences = lookalikes(split, train)
            order = np.argsort(differences, kind="stable")
            found[name] = [(int(i), int(places[i]), float(differences[i])) for i in order]
        return found

    def shares(self, split: SplitFacts) -> NDArray[np.float64]:
        """(K,) pixels of every class among all that are not void."""
        total = split.counts.sum(0)
        return np.asarray(total / max(total.sum(), 1), np.float64)

    def _damage(self, split: SplitFacts) -> Damage | None:
        edges = split.edges
        if edges is None:
            return None
        interpolated = looks_interpolated(edges)
        if not interpolated and not edges.wrong:
            return None
        lost, kept = edges.lost.astype(float), edges.kept.astype(float)
        names = {**dict(enumerate(self.data.classes)), VOID: "void"}
        share = lost / np.maximum(lost + kept, 1)
        by_class = {name: float(share[k]) for k, name in names.items()}
        return Damage(interpolated, float(lost.sum() / max((lost + kept).sum(), 1)), by_class)
