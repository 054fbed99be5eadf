"""Reads frames as they lie in their files for an audit, which refuses none.

H W: rows and columns as stored, h w: as a run sees them, K classes.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fcn_lab.data.frames import Frames
from fcn_lab.data.label_codecs import LabelView
from fcn_lab.data.layouts.layout import Pair
from fcn_lab.data.packs.decode import open_pair
from fcn_lab.data.packs.pack import Recipe
from fcn_lab.data.resizing import resize_frame
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID, Pixels


@dataclass(frozen=True)
class LabelEdges:
    """Statistics of label edges, which show how the labels were made.

    Attributes:
        triples: (before, it, after) → how often this occurs in a row or a column of a mask of ids,
            for pixels that differ from both neighbours where these differ from each other.
        wrong_count: pixels that hold a value of no class.
        mixed_count: those of them whose value lies between their neighbours'.
        lost_counts: (256,) by class id, the wrong and mixed pixels whose nearest sound pixel is of
            this class; those nearest to void stand at VOID.
        sound_counts: (256,) by class id, the pixels that are neither wrong nor mixed.
    """

    triples: Counter[tuple[int, int, int]]
    wrong_count: int
    mixed_count: int
    lost_counts: NDArray[np.int64]
    sound_counts: NDArray[np.int64]

    @classmethod
    def combine(cls, parts: Sequence["LabelEdges"]) -> "LabelEdges":
        """Returns the sums over several labels."""
        triples: Counter[tuple[int, int, int]] = Counter()
        for part in parts:
            triples.update(part.triples)
        return cls(
            triples,
            sum(part.wrong_count for part in parts),
            sum(part.mixed_count for part in parts),
            np.sum([part.lost_counts for part in parts], axis=0),
            np.sum([part.sound_counts for part in parts], axis=0),
        )


@dataclass(frozen=True)
class FrameSurvey:
    """The content of one frame's files.

    Attributes:
        name: the frame's name.
        drive: "" where it is not known.
        image: (h,w,C).
        label: (h,w), class ids or VOID.
        stored_size: (H,W).
        strange_values: values of the label file that name no class, with their pixel counts.
        edges: None where there is no label file.
        fault: why the files cannot be used; image and label are empty then.
        spoilt_mask: (h,w), where the label file holds a value of no class or, in one of ids, a
            value between its neighbours'; None where there is no label file.
    """

    name: str
    drive: str
    image: Pixels
    label: Pixels
    stored_size: tuple[int, int]
    strange_values: Counter[str]
    edges: LabelEdges | None
    fault: str = ""
    spoilt_mask: NDArray[np.bool_] | None = None


def survey_pair(pair: Pair, drive: str, recipe: Recipe) -> FrameSurvey:
    """Returns one frame from its two files; an unreadable one has a fault and raises no error."""
    try:
        image, file = open_pair(pair, recipe.limit, recipe.parts)
        view = recipe.codec.survey(file)
    except UserError as error:
        blank = np.zeros((0, 0), np.uint8)
        is_named = any(str(file) in str(error) for file in (*pair.images, pair.label))
        reason = str(error) if is_named else f"{pair.label} {error}"
        return FrameSurvey(pair.name, drive, blank, blank, (0, 0), Counter(), None, reason)
    table, ids = recipe.classes.table, view.ids
    edges, spoilt_mask = measure_edges(view, np.take(table, ids))
    if recipe.size is not None:
        marks = spoilt_mask.view(np.uint8)
        marks = resize_frame(marks[..., None], marks, recipe.size, recipe.resize)[1]
        image, ids = resize_frame(image, ids, recipe.size, recipe.resize)
        spoilt_mask = marks == 1
    return FrameSurvey(
        pair.name,
        drive,
        image,
        np.take(table, ids),
        (file.height, file.width),
        view.strange_values,
        edges,
        spoilt_mask=spoilt_mask,
    )


def survey_frames(frames: Frames) -> Iterator[FrameSurvey]:
    """Yields the surveys of frames that were never in files."""
    drives = frames.drives or ("",) * len(frames)
    rows = zip(frames.names, drives, frames.images, frames.labels, strict=True)
    for name, drive, image, label in rows:
        height, width = label.shape
        yield FrameSurvey(name, drive, image, label, (height, width), Counter(), None)


def measure_edges(view: LabelView, classes: Pixels) -> tuple[LabelEdges, NDArray[np.bool_]]:
    """Measures the edges of a label file; `classes` (H,W) are the decoded classes.

    Returns:
        The statistics, and (H,W) where the file may be spoilt, see `FrameSurvey`.
    """
    pixels = view.pixels.reshape(*classes.shape, -1)
    is_between = np.zeros(classes.shape, np.bool_)
    triples: Counter[tuple[int, int, int]] = Counter()
    for values, mask in ((pixels, is_between), (pixels.swapaxes(0, 1), is_between.T)):
        step = (values[1:] != values[:-1]).any(-1)
        rows, columns = np.nonzero(step[:-1] & step[1:])
        first, middle, last = (values[rows + i, columns] for i in range(3))
        is_inside = (np.minimum(first, last) <= middle) & (middle <= np.maximum(first, last))
        mask[rows + 1, columns] |= is_inside.all(-1)
        if view.pixels.ndim == classes.ndim:
            triples.update(_count_triples(np.concatenate([first, middle, last], axis=1)))
    is_coloured = view.pixels.ndim > classes.ndim
    spoilt_mask = view.is_wrong if is_coloured else view.is_wrong | is_between
    edges = LabelEdges(
        triples,
        int(view.is_wrong.sum()),
        int((view.is_wrong & is_between).sum()),
        _count_nearest(spoilt_mask, classes),
        np.bincount(classes[~spoilt_mask], minlength=VOID + 1),
    )
    return edges, spoilt_mask


def _count_triples(triples: NDArray[np.unsignedinteger]) -> Counter[tuple[int, int, int]]:
    """Counts each of the triples (T,3), without those whose ends are equal."""
    edge_triples = triples[triples[:, 0] != triples[:, 2]].astype(np.uint64)
    codes = edge_triples @ np.array((1 << 32, 1 << 16, 1), np.uint64)
    values, counts = np.unique(codes, return_counts=True)
    return Counter(
        {
            (int(code) >> 32, int(code) >> 16 & 0xFFFF, int(code) & 0xFFFF): int(count)
            for code, count in zip(values, counts, strict=True)
        }
    )


def _count_nearest(spoilt_mask: NDArray[np.bool_], classes: Pixels) -> NDArray[np.int64]:
    """Returns (256,) the number of spoilt pixels by the class of the nearest sound pixel."""
    if not spoilt_mask.any() or spoilt_mask.all():
        return np.zeros(VOID + 1, np.int64)
    _, regions = cv2.distanceTransformWithLabels(
        spoilt_mask.astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner = np.zeros(regions.max() + 1, np.uint8)
    owner[regions[~spoilt_mask]] = classes[~spoilt_mask]
    return np.bincount(owner[regions[spoilt_mask]], minlength=VOID + 1)
