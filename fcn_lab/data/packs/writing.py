"""Fills the arrays of a pack: decoded in parts, on all cores, each part at its own place.

Threads, since decoders release Python's lock. A part that was written by a process that was killed
is taken over where its bytes are still what the journal says. M frames, H W rows and columns.
"""

import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from fcn_lab.data.packs.drafts import JOURNAL, Journal
from fcn_lab.data.packs.flat import find_starts
from fcn_lab.data.packs.folder import ARRAYS, write_array_header
from fcn_lab.data.pictures.parts import COLOURS
from fcn_lab.files import flush_to_disk
from fcn_lab.pixels import Pixels
from fcn_lab.runs.processor import count_bound_cores
from fcn_lab.terminal import report_progress

PART_FRAMES = 64
Decode = Callable[[int], "PackedFrame"]


@dataclass(frozen=True)
class PackedFrame:
    """One frame as it is written: image (H,W,C), label (H,W), and what its label file held.

    Attributes:
        image: the picture.
        label: its classes.
        strange: colours of no class with their pixel counts.
        stored: pixels of the label file.
    """

    image: Pixels
    label: Pixels
    strange: Counter[str]
    stored: int


@dataclass
class Census:
    """What the label files held: strange colours, all pixels, and the worst frame's count."""

    strange: Counter[str] = field(default_factory=Counter)
    stored: int = 0
    worst: tuple[int, int] = (0, 0)  # strange pixels, number of the frame

    def add(self, other: "Census") -> None:
        """Adds what was found in other frames."""
        self.strange.update(other.strange)
        self.stored += other.stored
        self.worst = max(self.worst, other.worst)

    def to_plain(self) -> dict[str, Any]:
        """Returns the same in words and numbers, for a file."""
        return {"strange": dict(self.strange), "stored": self.stored, "worst": list(self.worst)}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Census":
        """Returns what ``to_plain`` was given."""
        most, number = plain["worst"]
        return cls(Counter(plain["strange"]), plain["stored"], (most, number))


def write_frames(
    half: Path,
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    sizes: Sequence[tuple[int, int]],
    decode: Decode,
    title: str,
    channels: int = COLOURS,
) -> Census:
    """Writes all frames into the two arrays of a folder.

    Args:
        half: the folder.
        shapes: of the two arrays, of which (H,W) one behind the other are the content.
        sizes: (H,W) of the M frames.
        decode: reads one of them.
        title: what is packed, for the progress bar.
        channels: C of a picture.

    Raises:
        UserError: of the first frame that is not sound.
    """
    journal, total = Journal(half / JOURNAL), Census()
    noted = journal.read()
    with _open_arrays(half, shapes) as arrays:
        writer = _PartWriter(arrays, (channels, 1), sizes, decode)
        starts = range(0, len(sizes), PART_FRAMES)
        pool = ThreadPoolExecutor(count_bound_cores())
        try:
            parts = pool.map(lambda start: writer.settle(start, noted.get(start)), starts)
            shown = report_progress(parts, len(sizes), title, PART_FRAMES)
            for start, found in zip(starts, shown, strict=True):
                if start not in noted:
                    journal.add(start, found)
                total.add(Census.from_plain(found["census"]))
        finally:
            pool.shutdown(cancel_futures=True)
    return total


@contextmanager
def _open_arrays(
    half: Path, shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> Iterator[Sequence[tuple[IO[bytes], int]]]:
    """Yields the two files and where their content begins; they are on the disk afterwards."""
    arrays = []
    for name, shape in zip(ARRAYS, shapes, strict=True):
        path = half / name
        path.touch()
        file = path.open("r+b", buffering=0)
        write_array_header(file, shape)
        arrays.append((file, file.tell()))
    try:
        yield arrays
        for file, _ in arrays:
            flush_to_disk(file)
    finally:
        for file, _ in arrays:
            file.close()


class _PartWriter:
    """Writes parts of the frames, in any order and from any thread."""

    def __init__(
        self,
        arrays: Sequence[tuple[IO[bytes], int]],
        channels: tuple[int, int],
        sizes: Sequence[tuple[int, int]],
        decode: Decode,
    ) -> None:
        self._files = [file.fileno() for file, _ in arrays]
        self._places = [
            [begin + start for start in find_starts(sizes, count)]
            for (_, begin), count in zip(arrays, channels, strict=True)
        ]
        self._sizes, self._decode = sizes, decode

    def settle(self, start: int, noted: dict[str, Any] | None) -> dict[str, Any]:
        """Returns what a part holds, which is written unless it lies there as noted."""
        frames = range(start, min(start + PART_FRAMES, len(self._sizes)))
        if noted is not None and noted["digests"] == self._read_digests(frames):
            return noted
        digests, census = [0, 0], Census()
        for number in frames:
            frame = self._decode(number)
            for place, array in enumerate((frame.image, frame.label)):
                content = np.ascontiguousarray(array).data.cast("B")
                _write_at(self._files[place], content, self._places[place][number])
                digests[place] = zlib.crc32(content, digests[place])
            worst = (frame.strange.total(), number)
            census.add(Census(frame.strange, frame.stored, worst))
        return {"digests": digests, "census": census.to_plain()}

    def _read_digests(self, frames: range) -> list[int]:
        return [
            zlib.crc32(
                os.pread(file, places[frames.stop] - places[frames.start], places[frames.start])
            )
            for file, places in zip(self._files, self._places, strict=True)
        ]


def _write_at(file: int, content: memoryview, place: int) -> None:
    while content:
        written = os.pwrite(file, content, place)
        content, place = content[written:], place + written
