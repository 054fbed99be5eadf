"""The measurements of a data set, from which the audit's tables, page and JSON are made."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fcn_lab.audit.copying import find_lookalikes, score_copies
from fcn_lab.audit.facts import DataFacts, FrameFacts, SplitFacts, gather_facts
from fcn_lab.audit.interpolation import looks_interpolated
from fcn_lab.audit.positions import DriveSpan, find_spans
from fcn_lab.audit.weights import class_weights
from fcn_lab.data.source import Source
from fcn_lab.metrics.scores import SplitScores
from fcn_lab.pixels import VOID


@dataclass(frozen=True)
class Damage:
    """The harm that interpolation or strange values did to the labels of one split.

    Attributes:
        interpolated: whether it was interpolation.
        share: the share of all pixels, as stored, that were spoilt.
        by_class: name, "void" included → share of the class's pixels that were spoilt (each
            goes to the class of the nearest sound pixel).
    """

    interpolated: bool
    share: float
    by_class: Mapping[str, float]


@dataclass(frozen=True)
class Twins:
    """Frames with equal pixels.

    Attributes:
        names: the frames' names.
        splits: the splits that they are in, each once.
        labels: the number of different label maps among them.
        split_of: the split of each frame.
    """

    names: tuple[str, ...]
    splits: tuple[str, ...]
    labels: int
    split_of: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """The measurements of a data set, each computed when it is first read."""

    data: DataFacts

    @classmethod
    def measure(cls, source: Source) -> "Audit":
        """Reads every frame of a source once."""
        return cls(gather_facts(source))

    @cached_property
    def copy_scores(self) -> dict[str, dict[str, SplitScores]]:
        """Returns split → rule → scores of copied labels."""
        return score_copies(self.data)

    @cached_property
    def drive_spans(self) -> list[DriveSpan]:
        """Returns the drives of every split, with their distance to training."""
        return list(find_spans(self.data))

    @cached_property
    def damage(self) -> dict[str, Damage]:
        """Returns, by split, the harm to labels that look interpolated or hold strange values."""
        by_split = {name: self._measure_damage(split) for name, split in self.data.splits.items()}
        return {name: damage for name, damage in by_split.items() if damage is not None}

    @cached_property
    def twins(self) -> list[Twins]:
        """Returns every picture that occurs more than once."""
        groups: dict[str, list[tuple[str, FrameFacts]]] = defaultdict(list)
        for name, split in self.data.splits.items():
            for frame in split.frames:
                groups[frame.image].append((name, frame))
        return [
            Twins(
                tuple(frame.name for _, frame in group),
                tuple(sorted({split for split, _ in group})),
                len({frame.label for _, frame in group}),
                tuple(split for split, _ in group),
            )
            for group in groups.values()
            if len(group) > 1
        ]

    @cached_property
    def weights(self) -> dict[str, NDArray[np.float64]]:
        """Returns definition → (K,) class weights of the training set."""
        train = self.data.splits.get("train")
        if train is None or not train.frames:
            return {}
        return class_weights(train.counts, np.array(train.pixels))

    @cached_property
    def closest_frames(self) -> dict[str, list[tuple[int, int, float]]]:
        """Returns split → (frame index, training frame index, difference), most alike first."""
        train = self.data.splits.get("train")
        if train is None or not train.frames:
            return {}
        pairs = {}
        for name, split in self.data.scored_splits:
            train_indices, differences = find_lookalikes(split, train)
            order = np.argsort(differences, kind="stable")
            pairs[name] = [(int(i), int(train_indices[i]), float(differences[i])) for i in order]
        return pairs

    def shares(self, split: SplitFacts) -> NDArray[np.float64]:
        """Returns (K,) each class's share of the pixels that are not void."""
        total = split.counts.sum(0)
        return np.asarray(total / max(total.sum(), 1), np.float64)

    def _measure_damage(self, split: SplitFacts) -> Damage | None:
        edges = split.edges
        if edges is None:
            return None
        is_interpolated = looks_interpolated(edges)
        if not is_interpolated and not edges.wrong_count:
            return None
        losses, survivors = edges.lost_counts.astype(float), edges.sound_counts.astype(float)
        names = {**dict(enumerate(self.data.classes)), VOID: "void"}
        share = losses / np.maximum(losses + survivors, 1)
        by_class = {name: float(share[k]) for k, name in names.items()}
        return Damage(
            is_interpolated, float(losses.sum() / max((losses + survivors).sum(), 1)), by_class
        )
