"""Copies of frames, compressed, that the page's pictures are drawn from.

Legend: h w rows and columns as a run sees a frame, H W those of its copy.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fcn_lab.pixels import Pixels

# the longer side of a copy, in pixels
LONGEST_SIDE = 640
QUALITY = 85


@dataclass(frozen=True)
class Look:
    """The compressed copy of one frame.

    Attributes:
        picture: a JPEG.
        marks: (h·w/8,) bits of the spoilt pixels; None where there are none.
    """

    picture: bytes
    marks: Pixels | None

    @classmethod
    def take(cls, image: Pixels, spoilt_mask: NDArray[np.bool_] | None) -> "Look":
        """Copies a picture (h,w,3) and its spoilt pixels (h,w)."""
        thumbnail = np.asarray(shrink_picture(image, LONGEST_SIDE))
        colours = cv2.cvtColor(thumbnail, cv2.COLOR_RGB2BGR)
        _, picture = cv2.imencode(".jpg", colours, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        marks = np.packbits(spoilt_mask) if spoilt_mask is not None and spoilt_mask.any() else None
        return cls(picture.tobytes(), marks)

    def open(self) -> Pixels:
        """Returns the picture (H,W,3)."""
        pixels = cv2.imdecode(np.frombuffer(self.picture, np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)

    def open_marks(self, size: tuple[int, ...]) -> NDArray[np.bool_]:
        """Returns (h,w), the spoilt pixels of a frame of this size."""
        if self.marks is None:
            return np.zeros(size, np.bool_)
        count = int(np.prod(size))
        return np.unpackbits(self.marks, count=count).reshape(size).astype(np.bool_)


def shrink_picture(pixels: Pixels, side: int) -> Pixels:
    """Returns the picture with its longer side at most so long, averaged; never enlarged."""
    height, width = pixels.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return pixels
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
