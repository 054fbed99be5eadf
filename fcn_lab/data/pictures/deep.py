"""Reads pictures of more than eight bits a channel, and finds the range that they are scaled from.

Most files do not say how many of their 16 bits a camera filled. So the range is the least of 255,
4095 and 65535 that holds the picture's largest value, and for floating point the least of 1, 255,
4095 and 65535 that nearly does. These steps are sixteenfold: a picture is read brighter than it was
only where all of it lies in the lowest sixteenth of its true range, which is nearly black. A range
that the file declares, as PGM does, comes first. H W: rows and columns.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import cv2
import numpy as np
from cv2.utils import logging
from numpy.typing import NDArray
from PIL.Image import Image

from fcn_lab.data.pictures.tiff_header import TiffHeader
from fcn_lab.data.pictures.unreadable import UnsupportedKind
from fcn_lab.pixels import Pixels

Values = NDArray[Any]
MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
RANGES = (255, 4095, 65535)
FLOAT_RANGES = (1, *RANGES)
# share of the range by which sharpening or resizing may exceed it in a picture of floats
OVERSHOOT_SHARE = 0.25
# the numbers of samples that are read, each with TIFF's number for their colours
_KINDS = ((1, 1), (3, 2), (4, 2))
_UNSCALED_RANGES = (255, 65535)


def to_eight_bits(values: Values, value_range: int | None = None) -> Pixels:
    """Returns values of any depth scaled to 0…255 and rounded.

    Args:
        values: a picture's colours, without transparency.
        value_range: the range, where the file says it.

    Raises:
        UnsupportedKind: values below 0 or above 65535, or that are no numbers.
    """
    if not np.isfinite(values).all():
        raise UnsupportedKind("holds values that are no numbers (nan or infinite)")
    low, high = float(values.min()), float(values.max())
    is_float = values.dtype.kind == "f"
    slack = OVERSHOOT_SHARE if is_float else 0.0
    ranges = [value_range] if value_range else FLOAT_RANGES if is_float else RANGES
    matches = [r for r in ranges if high <= r * (1 + slack) and low >= -r * slack]
    if not matches:
        raise UnsupportedKind(f"holds values from {low:g} to {high:g}, expected 0 to {ranges[-1]}")
    levels = np.rint(values.astype(np.float64) * (255 / matches[0]))
    return levels.clip(0, 255).astype(np.uint8)


def is_cut(picture: Image) -> bool:
    """Returns whether Pillow drops the lower eight of this picture's sixteen bits.

    Numbers that are stored as text it scales by their declared range, which is right.
    """
    tile = next(iter(getattr(picture, "tile", ())), None)
    if tile is None or picture.mode in MODES:
        return False
    args = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
    return any("16" in str(word) for word in args[:1]) or (tile[0] == "ppm" and args[1] == 65535)


def declared_range(picture: Image) -> int | None:
    """Returns the range that Pillow scales to, where a PGM or PPM file declares a maximum."""
    tile = next(iter(getattr(picture, "tile", ())), None)
    if tile is None or not tile[0].startswith("ppm") or tile[3][-1] in _UNSCALED_RANGES:
        return None
    return 65535 if picture.mode == "I" else 255


def decode_tiff(file: BinaryIO, header: TiffHeader) -> Values:
    """Returns the values (H,W), (H,W,3) or (H,W,4) of a deep TIFF file, upright.

    Raises:
        UnsupportedKind: its samples are none that OpenCV decodes.
    """
    if (header.samples, header.photometric) not in _KINDS or header.is_planar:
        raise UnsupportedKind(
            f"has pixels of {header.samples} x {header.bits} bits, photometric "
            f"{header.photometric}{', in planes' if header.is_planar else ''}; "
            "expected grey, RGB or RGBA"
        )
    return decode(file)


def decode(file: BinaryIO) -> Values:
    """Returns the values of a file, (H,W) or RGB with or without transparency, (H,W,3 or 4).

    The values of a TIFF are upright, those of other files as stored.

    Raises:
        UnsupportedKind: OpenCV cannot decode it.
    """
    file.seek(0)
    with silence_opencv():
        values = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise UnsupportedKind("has samples that cannot be decoded")
    # OpenCV's order is blue, green, red, alpha
    return values if values.ndim == 2 else values[..., [2, 1, 0, 3][: values.shape[2]]]


@contextmanager
def silence_opencv() -> Iterator[None]:
    """Stops OpenCV from printing errors that the lab reports in its own words."""
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)
