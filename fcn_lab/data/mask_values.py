"""Reads one whole number per pixel from a mask of any mode. H W: rows and columns."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from fcn_lab.errors import UserError

Values = NDArray[Any]
# void in masks of sixteen bits, as 255 is in those of eight
WIDE_VOID = 65535
# void in masks whose integers have signs
NEGATIVE_VOID = -1
GREY = ("1", "L", "LA", "La", "I", "F")
# modes whose first channel is the number and whose second is its transparency
_FIRST = ("LA", "La", "PA")
_TRANSPARENT = (*_FIRST, "RGBA", "RGBa")
_COLOUR_MODES = ("RGB", "RGBA", "RGBX", "RGBa")


def read_values(picture: Image) -> Values:
    """Returns integers (H,W): grey values, palette indices, or 0 and 1 of one bit.

    Sixteen bits may hold `WIDE_VOID`, integers with signs `NEGATIVE_VOID`. Three equal channels are
    one.

    Raises:
        UserError: it holds colours, fractions, or numbers in its transparency alone; the message
            continues from the file's name.
    """
    pixels: Values = np.asarray(picture)
    if picture.mode in _TRANSPARENT and pixels.size:
        *colours, transparency = np.ptp(pixels, (0, 1))
        if transparency and not any(colours):
            raise UserError(
                "has one colour, and a shape in its transparency; expected one number a pixel.\n"
                "Save the transparency itself: mogrify -alpha extract"
            )
    if picture.mode in ("1", "L", "P"):
        return pixels.astype(np.uint8, copy=False)
    if picture.mode in _FIRST:
        return pixels[..., 0]
    if picture.mode in _COLOUR_MODES and (pixels[..., :1] == pixels[..., 1:3]).all():
        return pixels[..., 0]
    if picture.mode == "F":
        if not np.isfinite(pixels).all() or not (pixels == np.rint(pixels)).all():
            raise UserError("holds fractions; expected whole numbers")
        return np.rint(pixels).clip(NEGATIVE_VOID - 1, WIDE_VOID + 1).astype(np.int64)
    if picture.mode != "I":
        raise UserError(f"has colours (mode {picture.mode}); expected one number a pixel")
    return pixels
