"""Reads the header of a TIFF file, since Pillow cannot open all files that OpenCV decodes."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, BinaryIO, Literal, Self

from PIL.TiffImagePlugin import ImageFileDirectory_v2

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class Tag(IntEnum):
    """The numbers of the tags that are read."""

    SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
    FILL_ORDER, ORIENTATION, SAMPLES, ROWS_A_STRIP, PLANAR = 266, 274, 277, 278, 284
    PREDICTOR, TILE_WIDTH, TILE_HEIGHT, FORMAT, XMP = 317, 322, 323, 339, 700


# tags of the offsets and lengths, first of strips, then of tiles
_PLACES = ((273, 279), (324, 325))
OFFSETS = (*_PLACES[0], *_PLACES[1])
# bits that mark a smaller copy of another page, or its transparency
_COPY = 1 | 4
_FLOAT = 3
# the pattern by which Pillow, which turns the pictures, finds it
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')


@dataclass(frozen=True)
class TiffHeader:
    """The description of a TIFF file's first page.

    Attributes:
        size: width and height as stored.
        bits: bits of a sample.
        is_float: whether samples are floating point.
        samples: samples of a pixel.
        photometric: 0 white is zero, 1 black is zero, 2 RGB, ….
        is_planar: whether channels are stored one behind the other.
        orientation: 1…8, None where the tags say nothing.
        xmp_orientation: 1…8, where the XMP packet alone says it, which OpenCV does not read.
        pages: how many pages the file has, copies in other sizes left out.
        channels: the samples of a pixel in all these pages.
    """

    size: tuple[int, int]
    bits: int
    is_float: bool
    samples: int
    photometric: int
    is_planar: bool
    orientation: int | None
    xmp_orientation: int | None
    pages: int
    channels: int

    @classmethod
    def read(cls, file: BinaryIO) -> Self | None:
        """Reads the header; returns None where the file is no TIFF.

        Raises:
            EOFError: its pixels lie outside of the file. Broken tags raise what Pillow raises.
        """
        file.seek(0)
        if file.read(4) not in MAGIC:
            return None
        pages = list(read_pages(file))
        first = pages[0]
        if _find_end(first) > _count_bytes(file):
            raise EOFError("its pixels lie outside the file")
        xmp_orientation = None if Tag.ORIENTATION in first else _read_xmp_orientation(first)
        return cls(
            (int(first.get(Tag.WIDTH, 0)), int(first.get(Tag.HEIGHT, 0))),
            max(first.get(Tag.BITS, (1,))),
            _FLOAT in first.get(Tag.FORMAT, ()),
            int(first.get(Tag.SAMPLES, 1)),
            int(first.get(Tag.PHOTOMETRIC, 1)),
            first.get(Tag.PLANAR, 1) != 1,
            first.get(Tag.ORIENTATION, xmp_orientation),
            xmp_orientation,
            sum(not cls.is_copy(page) for page in pages),
            sum(int(page.get(Tag.SAMPLES, 1)) for page in pages if not cls.is_copy(page)),
        )

    @staticmethod
    def is_copy(page: dict[int, Any]) -> bool:
        """Returns whether a page is a smaller copy of another, or its transparency."""
        return bool(int(page.get(Tag.SUBFILE, 0)) & _COPY)

    @property
    def is_deep(self) -> bool:
        """Returns whether a sample has more bits than Pillow always keeps."""
        return self.bits > 12 or self.is_float


def read_pages(file: BinaryIO) -> Iterator[dict[int, Any]]:
    """Yields the tags of every page; a file whose pages form a circle ends."""
    file.seek(0)
    start = file.read(8)
    is_big = start[2:4] in (b"+\0", b"\0+")
    directory = ImageFileDirectory_v2(start + file.read(8) if is_big else start)
    order: Literal["little", "big"] = "little" if start[:1] == b"I" else "big"
    width, entry = (8, 20) if is_big else (2, 12)
    offset, offsets = directory.next, set[int]()
    while (offset or not offsets) and offset not in offsets:
        offsets.add(offset)
        file.seek(offset)
        count = int.from_bytes(file.read(width), order)
        if offset + width + count * entry > _count_bytes(file):
            raise EOFError("its tags lie outside the file")
        file.seek(offset)
        directory.load(file)
        yield dict(directory)
        offset = directory.next


def _read_xmp_orientation(page: dict[int, Any]) -> int | None:
    """Returns what a page's XMP packet says, which some editors write in place of the tag."""
    packet = page.get(Tag.XMP, b"")
    match = _XMP_ORIENTATION.search(packet) if isinstance(packet, bytes) else None
    return int(match[1]) if match else None


def _count_bytes(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def _find_end(page: dict[int, Any]) -> int:
    for offsets, lengths in _PLACES:
        ranges = zip(page.get(offsets, ()), page.get(lengths, ()), strict=False)
        if ends := [offset + length for offset, length in ranges]:
            return int(max(ends))
    return 0
