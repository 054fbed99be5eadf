"""The channels that a file gives to a frame's picture: three of colours, one of depth, C bands.

H W: rows and columns, C: channels of one file, S: samples of a pixel as stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcn_lab.data.pictures.unreadable import UnsupportedKind
from fcn_lab.pixels import Pixels
from fcn_lab.text.terminal import format_count

COLOURS = 3


@dataclass(frozen=True)
class PicturePart:
    """The channels that are read of one file.

    Attributes:
        channels: C.
        range: the value that becomes 255; None for files of 8 bits, and where three channels are
            read for the range that suits the picture.
    """

    channels: int = COLOURS
    range: float | None = None


RGB = (PicturePart(),)


def count_channels(parts: Sequence[PicturePart]) -> int:
    """Returns the channels of a frame whose files give these."""
    return sum(part.channels for part in parts)


def show_colours(image: Pixels) -> Pixels:
    """Maps a picture (H,W,C) to what is shown of it, (H,W,3): three channels, or one as grey."""
    return image[..., :COLOURS] if image.shape[2] >= COLOURS else image[..., [0, 0, 0]]


def choose_channels(values: NDArray[Any], channels: int) -> NDArray[Any]:
    """Returns the C channels (H,W,C) of a picture (H,W) or (H,W,S).

    Grey stands for three equal colours and the other way round; transparency is dropped where C
    does not count it.

    Raises:
        UnsupportedKind: the picture has another number of channels.
    """
    values = values if values.ndim == 3 else values[..., None]
    samples = values.shape[2]
    if samples == channels:
        return values
    if samples == 1 and channels == COLOURS:
        return np.repeat(values, COLOURS, 2)
    if samples == COLOURS + 1 and channels == COLOURS:
        return values[..., :COLOURS]
    first = values[..., :1]
    if channels == 1 and (samples == 2 or bool((values[..., 1:COLOURS] == first).all())):
        return first
    raise UnsupportedKind(f"has {format_count(samples, 'channel')}, expected {channels}")


def scale_values(values: NDArray[Any], part: PicturePart) -> Pixels:
    """Returns values of any depth as 0…255: all files of a part by one range.

    Raises:
        UnsupportedKind: they are deeper than 8 bits without a stated range, or they are
            negative or no numbers.
    """
    if values.dtype == np.uint8 and part.range is None:
        return values
    if not np.isfinite(values).all():
        raise UnsupportedKind("holds values that are no numbers (nan or infinite)")
    low, high = float(values.min()), float(values.max())
    if part.range is None:
        raise UnsupportedKind(
            f"holds values of {8 * values.dtype.itemsize} bits, up to {high:g}: which value of all "
            "such files becomes 255 is not known"
        )
    if low < 0:
        raise UnsupportedKind(f"holds values from {low:g}, expected 0 to {part.range:g}")
    levels = values.clip(0, part.range).astype(np.float64) * (255 / part.range)
    return np.rint(levels).astype(np.uint8)
