"""Reads every frame of a data set once and keeps what the audit needs.

Legend: M frames of a split, K classes, h w rows and columns as a run sees them.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from fcn_lab.audit.looks import Look
from fcn_lab.data.pictures.parts import show_colours
from fcn_lab.data.source import Source
from fcn_lab.data.survey import FrameSurvey, LabelEdges
from fcn_lab.pixels import VOID, Colour, Pixels

PREVIEW = (96, 128)
_NUMBER = re.compile(r"(\d+)\D*$")


@dataclass(frozen=True)
class FrameFacts:
    """The measurements of one frame.

    Attributes:
        name: the frame's name.
        drive: "" where it is not known, its own name where it stands alone.
        stored_size: (H,W) of its files.
        counts: (K,) pixels of every class.
        void: pixels of no class.
        strange_values: values of its label file that name no class, with their pixels.
        image: digest of its pixels.
        label: digest of its label.
        spoilt_count: pixels of its label, as a run sees it, that may be spoilt, see `FrameSurvey`.
    """

    name: str
    drive: str
    stored_size: tuple[int, int]
    counts: NDArray[np.int64]
    void: int
    strange_values: Counter[str]
    image: str
    label: str
    spoilt_count: int

    @cached_property
    def number(self) -> int | None:
        """Returns the last number in the name, its position in the drive; None without one."""
        match = _NUMBER.search(self.name)
        return int(match[1]) if match else None

    @cached_property
    def sequence(self) -> str:
        """Returns the drive; of a frame that is of none, the name without its number."""
        stands_alone = self.drive in ("", self.name)
        return _NUMBER.sub("", self.name) if stands_alone else self.drive


@dataclass(frozen=True)
class SplitFacts:
    """The measurements of one split.

    Attributes:
        frames: those that could be read, in order of sequence and number.
        labels: M labels (h,w), whose size may differ from frame to frame.
        previews: (M,96,128,3), the pictures reduced to one small size.
        looks: M compressed copies, from which the page's pictures are drawn.
        edges: statistics of the label edges over all its files; None where it has no label files.
        faults: why the other frames could not be read, by name.
        num_classes: K.
    """

    frames: tuple[FrameFacts, ...]
    labels: tuple[Pixels, ...]
    previews: Pixels
    looks: tuple[Look, ...]
    edges: LabelEdges | None
    faults: Mapping[str, str]
    num_classes: int

    @cached_property
    def places(self) -> dict[str, int]:
        """Returns the index of each frame by its name."""
        return {frame.name: index for index, frame in enumerate(self.frames)}

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Returns (M,K) pixels of every class in every frame."""
        rows = [frame.counts for frame in self.frames]
        return np.array(rows, np.int64).reshape(-1, self.num_classes)

    @cached_property
    def void_share(self) -> float:
        """Returns the share of pixels of no class, in 0…1."""
        return sum(frame.void for frame in self.frames) / max(sum(self.pixels), 1)

    @cached_property
    def pixels(self) -> tuple[int, ...]:
        """Returns the pixels of each frame."""
        return tuple(label.size for label in self.labels)

    @cached_property
    def strange_values(self) -> Counter[str]:
        """Returns the values that name no class, with their pixel counts, over all label files."""
        total = Counter[str]()
        for frame in self.frames:
            total.update(frame.strange_values)
        return total

    @cached_property
    def drives(self) -> dict[str, list[FrameFacts]]:
        """Returns the split's frames by sequence."""
        frames_by_drive: dict[str, list[FrameFacts]] = {}
        for frame in self.frames:
            frames_by_drive.setdefault(frame.sequence, []).append(frame)
        return frames_by_drive


@dataclass(frozen=True)
class DataFacts:
    """The measurements of a data set.

    Attributes:
        describe: how the source describes itself.
        protocol: its protocol id.
        classes: K names.
        palette: K colours.
        splits: the facts of each split, by its name.
    """

    describe: str
    protocol: str
    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    splits: Mapping[str, SplitFacts]

    @property
    def scored_splits(self) -> Iterator[tuple[str, SplitFacts]]:
        """Yields name and facts of the splits that hold frames and are not trained on."""
        yield from (
            (name, split) for name, split in self.splits.items() if name != "train" and split.frames
        )


def gather_facts(source: Source) -> DataFacts:
    """Reads every frame of a source once."""
    count = len(source.classes)
    splits = {split: _gather(source.survey(split), count) for split in source.splits}
    return DataFacts(source.describe(), source.protocol, source.classes, source.palette, splits)


def _gather(frames: Iterable[FrameSurvey], num_classes: int) -> SplitFacts:
    rows: list[tuple[FrameFacts, Pixels, Pixels, Look]] = []
    edges: list[LabelEdges] = []
    faults: dict[str, str] = {}
    for frame in frames:
        if frame.fault:
            faults[frame.name] = frame.fault
            continue
        colours = show_colours(frame.image)
        preview = cv2.resize(colours, PREVIEW[::-1], interpolation=cv2.INTER_AREA)
        look = Look.take(colours, frame.spoilt_mask)
        rows.append(
            (_describe_frame(frame, num_classes), frame.label, np.asarray(preview, np.uint8), look)
        )
        edges += [] if frame.edges is None else [frame.edges]
    rows.sort(key=lambda row: (row[0].sequence, row[0].number or 0, row[0].name))
    return SplitFacts(
        tuple(row[0] for row in rows),
        tuple(row[1] for row in rows),
        np.stack([row[2] for row in rows]) if rows else np.zeros((0, *PREVIEW, 3), np.uint8),
        tuple(row[3] for row in rows),
        LabelEdges.combine(edges) if edges else None,
        faults,
        num_classes,
    )


def _describe_frame(frame: FrameSurvey, num_classes: int) -> FrameFacts:
    counts = np.bincount(frame.label.ravel(), minlength=VOID + 1)
    return FrameFacts(
        frame.name,
        frame.drive,
        frame.stored_size,
        counts[:num_classes],
        int(counts[VOID]),
        frame.strange_values,
        _hash_pixels(frame.image),
        _hash_pixels(frame.label),
        0 if frame.spoilt_mask is None else int(frame.spoilt_mask.sum()),
    )


def _hash_pixels(pixels: Pixels) -> str:
    content = repr(pixels.shape).encode() + pixels.tobytes()
    return hashlib.blake2b(content, digest_size=12).hexdigest()
