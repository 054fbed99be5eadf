"""Runs networks on a picture and draws the results; independent of the page.

Legend: H W rows and columns, K classes; label maps hold 0…K−1, or 255 for void.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.special import entr

from fcn_lab.data.packs.decode import read_picture
from fcn_lab.data.pictures.unreadable import Limit, Unreadable
from fcn_lab.errors import UserError
from fcn_lab.metrics.confusion import VOID
from fcn_lab.rendering.pictures import Colour, Pixels, colourise

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """The result of one network on one picture.

    Attributes:
        labels: the most probable class, (H,W).
        entropy: see `entropy`, (H,W).
        seconds: from picture to probabilities.
    """

    labels: Pixels
    entropy: Floats
    seconds: float


@dataclass(frozen=True)
class Scene:
    """A picture (H,W,3), its results, and its truth (H,W) where that is known."""

    name: str
    image: Pixels
    truth: Pixels | None = None
    views: dict[str, View] = field(default_factory=dict)


def ask_network(probabilities: Callable[[Pixels], Floats], image: Pixels) -> View:
    """Runs a network, given as a function from (H,W,3) to probabilities (K,H,W)."""
    start = time.perf_counter()
    found = probabilities(image)
    seconds = time.perf_counter() - start
    return View(found.argmax(0).astype(np.uint8), entropy(found), seconds)


def entropy(probabilities: Floats) -> Floats:
    """Returns each pixel's entropy, −Σ p log p / log K: 0 is certain, 1 all classes alike.

    Args:
        probabilities: (K,H,W).
    """
    most = np.log(max(2, len(probabilities)))
    shares: Floats = (entr(probabilities).sum(0) / most).astype(np.float32)
    return shares


def colour_values(values: Floats) -> Pixels:
    """Maps values in 0…1, (H,W), to colours from black to light yellow, (H,W,3)."""
    levels = (values.clip(0, 1) * 255).round().astype(np.uint8)
    shown = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)
    return np.ascontiguousarray(shown[..., ::-1])


def blend(
    image: Pixels, labels: Pixels, palette: Sequence[Colour], opacity: Sequence[float]
) -> Pixels:
    """Lays the colours of its classes over the picture; void pixels stay unchanged.

    Args:
        image: (H,W,3).
        labels: (H,W).
        palette: K colours.
        opacity: of each class, 0…1.
    """
    table = np.zeros(256, np.float32)
    table[: len(opacity)] = opacity
    share = table[labels][..., None]
    return ((1 - share) * image + share * colourise(labels, palette)).round().astype(np.uint8)


def agreement(labels: Pixels, others: Pixels) -> float | None:
    """Returns the share of pixels with equal class, without void; None where all is void."""
    seen = (labels != VOID) & (others != VOID)
    return float((labels == others)[seen].mean()) if seen.any() else None


def shrink(image: Pixels, pixels: float) -> Pixels:
    """Returns the picture with at most so many pixels, in its proportions, never enlarged."""
    height, width = image.shape[:2]
    factor = (pixels / (height * width)) ** 0.5
    if factor >= 1:
        return image
    size = (max(1, int(width * factor)), max(1, int(height * factor)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def open_picture(path: Path, megabytes: float, megapixels: float) -> Pixels:
    """Opens an uploaded file as a picture (H,W,3), checking its size before decoding.

    Raises:
        UserError: it is too large, or no picture.
    """
    if path.is_file() and path.stat().st_size > megabytes * 1e6:
        raise UserError(f"{path.name}: larger than {megabytes:g} MB, demo.megabytes= allows more")
    # the folder of uploads means nothing to whoever sent the file
    try:
        return read_picture(path, Limit(megapixels, "demo.megapixels"))
    except Unreadable as error:
        raise UserError(f"{path.name} {error.reason}.\n{error.remedy}") from error
