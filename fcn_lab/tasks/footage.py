"""Pictures and videos as frames: uint8 RGB (H,W,3)."""

import glob
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from fcn_lab.errors import UserError
from fcn_lab.panels import Pixels

VIDEOS = frozenset(
    {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv"}
)
MISSING = 0.1  # of a video's frames, from which on it counts as broken off
# all that Pillow raises for a bad file, and what is raised here
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


def found(given: str | Sequence[str]) -> list[Path]:
    """The pictures and videos that are meant, in order of name.

    Args:
        given: files, folders or patterns such as ``drive/*.jpg``, one or several.

    Raises:
        UserError: where one of them is none.
    """
    several = [given] if isinstance(given, str) else list(given)
    return sorted({path for one in several for path in _found(one)})


def _found(given: str) -> list[Path]:
    path = Path(given)
    if path.is_file():
        return [path]
    if path.is_dir():
        endings = {*Image.registered_extensions(), *VIDEOS}
        files = [p for p in path.iterdir() if p.suffix.lower() in endings and p.is_file()]
    else:
        files = [Path(p) for p in glob.glob(given, recursive=True) if Path(p).is_file()]
    if not files:
        raise UserError(
            f"input={given}: no picture found; "
            "expected a file, a folder of pictures or videos, or a pattern like 'a/*.png'"
        )
    return files


def names(paths: Sequence[Path]) -> list[str]:
    """What to call the results: the files' names, with endings where two differ in these alone."""
    count = Counter(path.stem for path in paths)
    return [path.stem if count[path.stem] == 1 else path.name for path in paths]


def is_video(path: Path) -> bool:
    """Told by the name: OpenCV takes pictures for videos of one frame."""
    return path.suffix.lower() in VIDEOS


def read(path: Path) -> Pixels:
    """A picture, turned upright.

    Raises:
        ValueError: for more than eight bits a channel, which would be cut and not scaled.
    """
    with Image.open(path) as image:
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"mode {image.mode}; expected eight bits a channel")
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


@dataclass
class Video:
    """A video that OpenCV reads.

    Args:
        path: its file.

    Raises:
        ValueError: OpenCV cannot open it.
    """

    path: Path

    def __post_init__(self) -> None:
        self._capture = cv2.VideoCapture(str(self.path))
        if not self._capture.isOpened():
            raise ValueError("OpenCV finds no video in it")
        self.length = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.rate = self._capture.get(cv2.CAP_PROP_FPS) or 25.0

    def __iter__(self) -> Iterator[Pixels]:
        """Its frames.

        Raises:
            ValueError: it ends long before its own end, or has no frame at all; behind the others.
        """
        count = 0
        try:
            while True:
                there, frame = self._capture.read()
                if not there:
                    break
                count += 1
                yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
        finally:
            self._capture.release()
        if not count or count < (1 - MISSING) * self.length:
            raise ValueError(f"it breaks off after {count} of {self.length} frames")


class VideoFile:
    """A video that is being written, in MPEG-4.

    Args:
        path: its file.
        rate: frames a second.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self.path, self.rate = path, rate
        self._writer: cv2.VideoWriter | None = None

    def add(self, frame: Pixels) -> None:
        """Appends a frame; the first one decides the size."""
        if self._writer is None:
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self.path), code, self.rate, frame.shape[1::-1])
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Ends the file."""
        if self._writer is not None:
            self._writer.release()
