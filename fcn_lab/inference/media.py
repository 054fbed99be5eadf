"""Pictures and videos as frames: uint8 RGB (H,W,3)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fcn_lab.data.packs.decode import read_parts
from fcn_lab.data.pictures import unreadable
from fcn_lab.data.pictures.parts import RGB, PicturePart
from fcn_lab.data.pictures.unreadable import LIMIT, Limit
from fcn_lab.errors import UserError
from fcn_lab.pixels import Pixels

# the share of missing frames from which on a video counts as broken off
MISSING_SHARE_LIMIT = 0.1


class MediaError(Exception):
    """A file that is no sound picture or video; the text gives the reason without its name."""


def read_image(
    path: Path,
    limit: Limit = LIMIT,
    parts: Sequence[PicturePart] = RGB,
    other_files: Sequence[Path] = (),
) -> Pixels:
    """Returns a picture (H,W,C), decoded as in training.

    Args:
        path: the picture's first file.
        limit: the most pixels of a file.
        parts: the channels of each file.
        other_files: the picture's other files.

    Raises:
        MediaError: the files are no picture that the lab reads.
    """
    try:
        return read_parts([path, *other_files], limit, parts)
    except unreadable.Unreadable as error:
        culprit = next((f"{file.name} " for file in other_files if str(file) in str(error)), "it ")
        raise MediaError(
            f"not a readable picture: {culprit}{error.reason}. {error.remedy}"
        ) from error
    except UserError as error:
        raise MediaError(" ".join(str(error).splitlines())) from error


@dataclass
class Video:
    """A video that OpenCV can read; iterating over it yields its frames.

    Args:
        path: its file.

    Raises:
        MediaError: OpenCV cannot open it.
    """

    path: Path

    def __post_init__(self) -> None:
        # opening a pipe would wait for ever
        if not self.path.is_file():
            raise MediaError("not a readable video: it is no file")
        self._capture = cv2.VideoCapture(str(self.path))
        if not self._capture.isOpened():
            raise MediaError("not a readable video (OpenCV finds none in it)")
        self.length = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.rate = self._capture.get(cv2.CAP_PROP_FPS) or 25.0

    def __iter__(self) -> Iterator[Pixels]:
        """Yields the frames in order, each (H,W,3).

        Raises:
            MediaError: it breaks off long before its end, or has no frame; raised after the frames.
        """
        count = 0
        try:
            while True:
                has_frame, frame = self._capture.read()
                if not has_frame:
                    break
                count += 1
                yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
        finally:
            self._capture.release()
        if not count or count < (1 - MISSING_SHARE_LIMIT) * self.length:
            raise MediaError(f"the video breaks off after {count} of {self.length} frames")


def round_rate(rate: float) -> float:
    """Returns frames a second as MPEG-4 can count them: as a fraction of at most 16 bits."""
    limit = (1 << 16) - 1
    digits = next((digits for digits in (3, 2, 1) if rate * 10**digits <= limit), 0)
    # OpenCV writes none below
    return min(max(round(rate, digits), 2e-3), float(limit))


class VideoFile:
    """A video that is being written, in MPEG-4.

    Args:
        path: its file.
        rate: frames a second.

    Attributes:
        refusal: why there is no file, where OpenCV cannot write one of that size.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self.path, self.rate = path, round_rate(rate)
        self.refusal: MediaError | None = None
        self._writer: cv2.VideoWriter | None = None
        self._shape: tuple[int, ...] | None = None
        self._count = 0

    def add(self, frame: Pixels) -> None:
        """Appends a frame (H,W,3); the first one decides the size, and whether there is a file.

        Raises:
            MediaError: the frame has another size than those before.
        """
        if self.refusal is not None:
            return
        if frame.shape != (self._shape or frame.shape):
            raise MediaError(f"the video's frames change their size after {self._count}")
        self._shape = frame.shape
        # MPEG-4 has even sizes alone, and OpenCV would cut others
        height, width = frame.shape[:2]
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._writer is None:
            code = cv2.VideoWriter.fourcc(*"mp4v")
            writer = cv2.VideoWriter(str(self.path), code, self.rate, frame.shape[1::-1])
            if not writer.isOpened():
                reason = f"OpenCV cannot write a video of {width}×{height} pixels"
                self.refusal = MediaError(f"{reason}; its frames are labelled")
                return
            self._writer = writer
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        self._count += 1

    def close(self) -> None:
        """Ends the file and checks that it holds every frame.

        Raises:
            OSError: not all frames are in it; OpenCV does not say when a disk is full.
        """
        if self._writer is None:
            return
        self._writer.release()
        frame_count = int(cv2.VideoCapture(str(self.path)).get(cv2.CAP_PROP_FRAME_COUNT))
        if frame_count != self._count:
            raise OSError(f"{frame_count} of {self._count} frames were written")
