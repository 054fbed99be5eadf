"""Videos for `task=predict`."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from support.tiny import Squares


def film(path: Path, frames: int = 6) -> list[NDArray[np.uint8]]:
    """Writes a video; gives its frames as OpenCV reads them back."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (32, 24))
    for image in np.resize(Squares().frames("test").images, (frames, 24, 32, 3)):
        writer.write(image[..., ::-1])
    writer.release()
    capture = cv2.VideoCapture(str(path))
    return [capture.read()[1][..., ::-1].copy() for _ in range(frames)]
