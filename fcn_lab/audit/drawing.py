"""Draws labels over and beside the pictures they belong to.

Legend: H W rows and columns of a picture, h w of its label, which may be larger.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fcn_lab.audit.looks import shrink_picture
from fcn_lab.data.resizing import resize_label
from fcn_lab.pixels import Colour, Pixels
from fcn_lab.rendering.embedding import EmbeddedPicture
from fcn_lab.rendering.pictures import colourise

Mask = NDArray[np.bool_]

# the longer side of a picture on the page, in pixels
SHOWN_SIDE = 320
MARK: Colour = (213, 0, 110)
MARK_OPACITY, LABEL_OPACITY = 0.75, 0.6
# the side of a crop over that of what it shows
CROP_MARGIN = 1.25
# the least side of a crop, as a share of the frame's
LEAST_CROP = 1 / 3


def embed_picture(pixels: Pixels, alt: str, is_flat: bool = False) -> EmbeddedPicture:
    """Encodes pixels (H,W,3), averaged to the size shown.

    Args:
        pixels: the picture.
        alt: what it shows.
        is_flat: the picture has few colours and sharp edges, and is encoded without loss.
    """
    thumbnail = shrink_picture(pixels, SHOWN_SIDE)
    if is_flat:
        return EmbeddedPicture.encode(thumbnail, alt, "png", optimize=True)
    return EmbeddedPicture.encode(thumbnail, alt, "jpeg", quality=82, subsampling=0)


def mark_pixels(picture: Pixels, mask: Mask) -> Pixels:
    """Returns the picture (H,W,3) faded to grey, the pixels of a mask (h,w) in one strong colour.

    What is thinner than a pixel stays visible: a pixel is coloured by the share that is marked,
    and all of it from a third on.
    """
    shares = cv2.resize(mask.astype(np.float32), picture.shape[1::-1], interpolation=cv2.INTER_AREA)
    opacity = MARK_OPACITY * np.minimum(3 * shares, 1)[..., None]
    grey = picture.mean(2, keepdims=True) * 0.45 + 255 * 0.5
    blend = (1 - opacity) * grey + opacity * np.array(MARK)
    return np.asarray(blend.round(), np.uint8)


def lay_over(picture: Pixels, label: Pixels, palette: Sequence[Colour], k: int) -> Pixels:
    """Returns the picture (H,W,3) under the colours of its label (h,w), class k outlined."""
    size = (picture.shape[0], picture.shape[1])
    small_label = resize_label(label, size)
    blend = (1 - LABEL_OPACITY) * picture + LABEL_OPACITY * colourise(small_label, palette)
    canvas = np.ascontiguousarray(blend.round().astype(np.uint8))
    mask = (small_label == k).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(canvas, contours, -1, (255, 255, 255), 1), np.uint8)


def draw_mask(label: Pixels, palette: Sequence[Colour], spoilt_mask: Mask | None = None) -> Pixels:
    """Returns a label (h,w) in the colours of its classes, at the size shown.

    Args:
        label: class ids or VOID.
        palette: K colours.
        spoilt_mask: (h,w), drawn in one strong colour over the faded others.
    """
    height, width = label.shape
    factor = min(1.0, SHOWN_SIDE / max(height, width))
    size = max(1, round(height * factor)), max(1, round(width * factor))
    colours = colourise(resize_label(label, size), palette)
    if spoilt_mask is None:
        return colours
    canvas = (colours * 0.4 + 255 * 0.6).astype(np.uint8)
    canvas[_keep_any(spoilt_mask, size)] = MARK
    return canvas


def choose_crop(mask: Mask) -> tuple[slice, slice]:
    """Returns rows and columns around the largest connected part of a mask (h,w).

    The crop has the frame's proportions, and a margin around the part.
    """
    height, width = mask.shape
    _, _, parts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    part_stats = parts[1:][parts[1:, cv2.CC_STAT_AREA].argmax()]
    left, top, columns, rows = (int(number) for number in part_stats[:4])
    factor = min(1.0, max(CROP_MARGIN * rows / height, CROP_MARGIN * columns / width, LEAST_CROP))
    return (
        _place_slice(top + rows / 2, factor * height, height),
        _place_slice(left + columns / 2, factor * width, width),
    )


def crop_picture(picture: Pixels, crop: tuple[slice, slice], shape: tuple[int, ...]) -> Pixels:
    """Returns the part of a picture (H,W,3) that a crop of its label (h,w) shows."""
    rows, columns = (
        slice(part.start * side // extent, max(1, -(-part.stop * side // extent)))
        for part, side, extent in zip(crop, picture.shape, shape, strict=False)
    )
    return np.ascontiguousarray(picture[rows, columns])


def _place_slice(middle: float, length: float, limit: int) -> slice:
    size = max(1, round(length))
    start = min(max(0, round(middle - size / 2)), limit - size)
    return slice(start, start + size)


def _keep_any(mask: Mask, size: tuple[int, int]) -> Mask:
    """Returns (H,W), where any of the pixels of a mask (h,w) lies."""
    shares = cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(shares > 0, np.bool_)
