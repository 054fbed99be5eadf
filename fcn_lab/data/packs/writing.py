"""Fills the arrays of a pack on all cores, in parts that are each written at their own place.

Threads do it, since decoders release Python's lock. A part that a killed process has written is
kept where its bytes are still those that the journal names. M frames, H W rows and columns.
"""

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from fcn_lab.data.packs.census import Census
from fcn_lab.data.packs.decode import DecodedFrame
from fcn_lab.data.packs.drafts import JOURNAL, Journal
from fcn_lab.data.packs.flat import find_starts
from fcn_lab.data.packs.folder import ARRAYS, write_array_header
from fcn_lab.data.pictures.parts import COLOURS
from fcn_lab.files import flush_to_disk
from fcn_lab.runs.processor import count_bound_cores
from fcn_lab.text.terminal import report_progress

PART_FRAMES = 64
_PIECE = 1 << 20
Decode = Callable[[int], DecodedFrame]


def write_frames(
    folder: Path,
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    sizes: Sequence[tuple[int, int]],
    decode: Decode,
    title: str,
    channels: int = COLOURS,
) -> Census:
    """Writes all frames into the two arrays of a folder.

    Args:
        folder: the folder.
        shapes: the shapes of the two arrays; their content is the frames one behind the other.
        sizes: (H,W) of the M frames.
        decode: reads one frame.
        title: the name of the pack, for the progress bar.
        channels: C of a picture.

    Raises:
        UserError: a frame is not sound; it is about the first such frame.
    """
    journal, total = Journal(folder / JOURNAL), Census()
    entries = journal.read()
    with _open_arrays(folder, shapes) as arrays:
        writer = _PartWriter(arrays, (channels, 1), sizes, decode)
        starts = range(0, len(sizes), PART_FRAMES)
        pool = ThreadPoolExecutor(count_bound_cores())
        try:
            parts = pool.map(lambda start: writer.settle(start, entries.get(start)), starts)
            results = report_progress(parts, len(sizes), title, PART_FRAMES)
            for start, result in zip(starts, results, strict=True):
                if start not in entries:
                    journal.add(start, result)
                total.merge(Census.from_plain(result["census"]))
        finally:
            pool.shutdown(cancel_futures=True)
    return total


@contextmanager
def _open_arrays(
    folder: Path, shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> Iterator[Sequence[tuple[IO[bytes], int]]]:
    """Yields the two files and the offsets of their content; afterwards they are on the disk."""
    arrays = []
    for name, shape in zip(ARRAYS, shapes, strict=True):
        path = folder / name
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
        self._offsets = [
            [begin + start for start in find_starts(sizes, count)]
            for (_, begin), count in zip(arrays, channels, strict=True)
        ]
        self._sizes, self._decode = sizes, decode

    def settle(self, start: int, entry: dict[str, Any] | None) -> dict[str, Any]:
        """Returns what a part holds; writes the part unless it is there as its entry says."""
        frames = range(start, min(start + PART_FRAMES, len(self._sizes)))
        if entry is not None and entry["digests"] == self._read_digests(frames):
            return entry
        digests, census = [0, 0], Census()
        for number in frames:
            frame = self._decode(number)
            for index, array in enumerate((frame.image, frame.label)):
                content = np.ascontiguousarray(array).data.cast("B")
                _write_at(self._files[index], content, self._offsets[index][number])
                digests[index] = zlib.crc32(content, digests[index])
            census.add(number, frame.strange_values, frame.pixel_count)
        return {"digests": digests, "census": census.to_plain()}

    def _read_digests(self, frames: range) -> list[int]:
        return [
            _read_digest(file, offsets[frames.start], offsets[frames.stop])
            for file, offsets in zip(self._files, self._offsets, strict=True)
        ]


def _read_digest(file: int, start: int, stop: int) -> int:
    """Returns the digest of a file's bytes, which may be more than one read gives."""
    digest = 0
    while content := os.pread(file, min(stop - start, _PIECE), start):
        digest, start = zlib.crc32(content, digest), start + len(content)
    return digest


def _write_at(file: int, content: memoryview, offset: int) -> None:
    while content:
        count = os.pwrite(file, content, offset)
        content, offset = content[count:], offset + count
