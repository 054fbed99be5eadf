"""Frames looked at as they lie in their files, for those who judge the data and refuse none.

H W: rows and columns as stored, h w: as a run sees them, K classes.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fcn_lab.data.classes import VOID
from fcn_lab.data.frames import Frames, Pixels
from fcn_lab.data.labels import LabelView, resize_image, resize_label
from fcn_lab.data.layouts.layout import Pair
from fcn_lab.data.pack import Recipe
from fcn_lab.data.reading import open_pair
from fcn_lab.errors import UserError


@dataclass(frozen=True)
class Edges:
    """What the edges of one label tell of how it was made.

    Attributes:
        thin: pixels that differ from both neighbours in their row or column
        between: those of them whose value lies between their neighbours', as interpolation
            leaves them and a hand that draws regions hardly does
        lost: (256,) by class id, pixels taken for spoilt that lie nearest to a sound one of it;
            VOID's in its place
        kept: (256,) by class id, pixels taken for sound
    """

    thin: int
    between: int
    lost: NDArray[np.int64]
    kept: NDArray[np.int64]


@dataclass(frozen=True)
class Surveyed:
    """One frame.

    Attributes:
        name: the frame's
        drive: "" where it is not known
        image: (h,w,3)
        label: (h,w), class ids or VOID
        stored: (H,W)
        strange: values of the label file that name no class, with their pixel counts
        edges: None where there is no label file
        fault: why the files cannot be used; image and label are empty then
    """

    name: str
    drive: str
    image: Pixels
    label: Pixels
    stored: tuple[int, int]
    strange: Counter[str]
    edges: Edges | None
    fault: str = ""


def survey_pair(pair: Pair, drive: str, recipe: Recipe) -> Surveyed:
    """One frame from its two files; what cannot be read is a fault and no error."""
    try:
        image, file = open_pair(pair)
        seen = recipe.codec.survey(file)
    except UserError as error:
        nothing = np.zeros((0, 0), np.uint8)
        reason = str(error) if str(pair.label) in str(error) else f"{pair.label} {error}"
        return Surveyed(pair.name, drive, nothing, nothing, (0, 0), Counter(), None, reason)
    table = recipe.classes.table
    return Surveyed(
        pair.name,
        drive,
        resize_image(image, recipe.size),
        np.take(table, resize_label(seen.ids, recipe.size)),
        (file.height, file.width),
        seen.strange,
        edges(seen, np.take(table, seen.ids)),
    )


def survey_frames(frames: Frames) -> Iterator[Surveyed]:
    """Frames that were never in files."""
    drives = frames.drives or ("",) * len(frames)
    height, width = frames.labels.shape[1:]
    rows = zip(frames.names, drives, frames.images, frames.labels, strict=True)
    for name, drive, image, label in rows:
        yield Surveyed(name, drive, image, label, (height, width), Counter(), None)


def edges(seen: LabelView, classes: NDArray[np.uint8]) -> Edges:
    """Judges the pixels of a label file; `classes` (H,W) are the classes it is read as."""
    thin, between = _ramps(seen.pixels.reshape(*classes.shape, -1).astype(np.int16))
    spoilt = between | seen.wrong
    kept = np.bincount(classes[~spoilt], minlength=VOID + 1)
    lost = np.zeros_like(kept)
    if spoilt.any() and not spoilt.all():
        _, places = cv2.distanceTransformWithLabels(
            spoilt.astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
        )
        nearest = np.zeros(places.max() + 1, np.uint8)
        nearest[places[~spoilt]] = classes[~spoilt]
        lost = np.bincount(nearest[places[spoilt]], minlength=VOID + 1)
    return Edges(int(thin.sum()), int(between.sum()), lost, kept)


def _ramps(pixels: NDArray[np.int16]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(H,W,C) → where a pixel differs from both neighbours, and where it lies between them."""
    thin, between = np.zeros((2, *pixels.shape[:2]), np.bool_)
    for rows in (pixels, pixels.swapaxes(0, 1)):
        before, here, after = rows[:-2], rows[1:-1], rows[2:]
        differs = (before != here).any(-1) & (after != here).any(-1)
        inside = (np.minimum(before, after) <= here) & (here <= np.maximum(before, after))
        along = rows is pixels
        (thin if along else thin.T)[1:-1] |= differs
        (between if along else between.T)[1:-1] |= differs & inside.all(-1)
    return thin, between
