"""Runs networks on a picture and draws the results; independent of the page.

Legend: H W rows and columns, h w rows and columns as shown, K classes; label maps hold 0…K−1, or
255 for void.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from fcn_lab.data.packs.decode import read_picture
from fcn_lab.data.pictures.unreadable import Limit, Unreadable
from fcn_lab.data.resizing import resize_image, resize_label
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID, Colour, Pixels
from fcn_lab.rendering.pictures import colourise

Floats = NDArray[np.float32]
Size = tuple[int, int]

# the most pixels of a picture that is sent to the browser
SHOWN_PIXELS = 700_000
# the longest side that Pillow writes as JPEG
LONGEST_SIDE = 65_500


@dataclass(frozen=True)
class View:
    """The result of one network on one picture.

    Attributes:
        labels: the most probable class, (H,W).
        entropy: see `entropy`, (h,w).
        mean_entropy: the mean entropy of all H×W pixels.
        seconds: the time that picture to probabilities took.
        remark: how it was scored, where it was not scored as a whole.
    """

    labels: Pixels
    entropy: Floats
    mean_entropy: float
    seconds: float
    remark: str = ""


@dataclass(frozen=True)
class Scene:
    """A picture (H,W,3), its results, and its truth (H,W) where that is known."""

    name: str
    image: Pixels
    truth: Pixels | None = None
    views: dict[str, View] = field(default_factory=dict)


def ask_network(
    strips: Callable[[Pixels], Iterable[Floats]], image: Pixels, remark: str = ""
) -> View:
    """Runs a network on a picture at its own size.

    Args:
        strips: maps (H,W,3) to probabilities (K,·,W) from top to bottom, so that those of a large
            picture need not be held at once.
        image: the picture.
        remark: see `View`.
    """
    labels, entropies, seconds, start = [], [], 0.0, time.perf_counter()
    for part in strips(image):
        seconds += time.perf_counter() - start
        labels.append(part.argmax(0).astype(np.uint8))
        entropies.append(entropy(part))
        start = time.perf_counter()
    values = np.concatenate(entropies)
    preview = _average(values, fit_size(image.shape[:2], SHOWN_PIXELS))
    return View(np.concatenate(labels), preview, float(values.mean()), seconds, remark)


def entropy(probabilities: Floats) -> Floats:
    """Returns each pixel's entropy, −Σ p log p / log K: 0 is certain, 1 all classes alike.

    Args:
        probabilities: (K,H,W).
    """
    largest = np.log(max(2, len(probabilities)))
    shares: Floats = (entr(probabilities).sum(0) / largest).astype(np.float32)
    return shares


def colour_values(values: Floats) -> Pixels:
    """Maps values in 0…1, (H,W), to colours from black to light yellow, (H,W,3)."""
    levels = (values.clip(0, 1) * 255).round().astype(np.uint8)
    picture = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)
    return np.ascontiguousarray(picture[..., ::-1])


def blend(
    image: Pixels, labels: Pixels, palette: Sequence[Colour], opacity: Sequence[float]
) -> Pixels:
    """Lays the colours of its classes over the picture; void pixels stay unchanged.

    Args:
        image: (H,W,3).
        labels: (H,W).
        palette: K colours.
        opacity: each class's opacity, 0…1.
    """
    table = np.zeros(256, np.float32)
    table[: len(opacity)] = opacity
    share = table[labels][..., None]
    return ((1 - share) * image + share * colourise(labels, palette)).round().astype(np.uint8)


def agreement(labels: Pixels, others: Pixels) -> float | None:
    """Returns the share of pixels with the same class, without void; None where all is void."""
    is_labelled = (labels != VOID) & (others != VOID)
    return float((labels == others)[is_labelled].mean()) if is_labelled.any() else None


def fit_size(size: tuple[int, ...], pixels: float) -> Size:
    """Returns the size (h,w) of a picture (H,W) with at most so many pixels, never enlarged."""
    height, width = size
    factor = min(1.0, (pixels / (height * width)) ** 0.5)
    limit = min(LONGEST_SIDE, int(pixels))
    rows, columns = (min(max(1, int(side * factor)), limit) for side in (height, width))
    return rows, columns


def shrink(scene: Scene, pixels: float = SHOWN_PIXELS) -> Scene:
    """Returns the scene as it is shown: pictures averaged, labels by the nearest pixel."""
    size = fit_size(scene.image.shape[:2], pixels)
    return replace(
        scene,
        image=resize_image(scene.image, size),
        truth=None if scene.truth is None else resize_label(scene.truth, size),
        views={
            label: replace(view, labels=resize_label(view.labels, size))
            for label, view in scene.views.items()
        },
    )


def _average(values: Floats, size: Size) -> Floats:
    if values.shape == size:
        return values
    return np.asarray(cv2.resize(values, size[::-1], interpolation=cv2.INTER_AREA), np.float32)


def open_picture(path: Path, megabytes: float, megapixels: float) -> Pixels:
    """Opens an uploaded file as a picture (H,W,3), checking its size before decoding.

    Raises:
        UserError: it is too large, or no picture.
    """
    if path.is_file() and path.stat().st_size > megabytes * 1e6:
        raise UserError(f"{path.name}: larger than {megabytes:g} MB, demo.megabytes= allows more")
    # the error names the file alone: its folder means nothing to the person who sent it
    try:
        return read_picture(path, Limit(megapixels, "demo.megapixels"))
    except Unreadable as error:
        raise UserError(f"{path.name} {error.reason}.\n{error.remedy}") from error
