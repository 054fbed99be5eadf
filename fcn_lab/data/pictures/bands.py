"""Files of any number of channels: TIFF with many samples or pages, and NumPy's arrays.

OpenCV decodes TIFF of up to four samples, but grey pages with any compression. So a page of S
samples is presented to it as a grey page of S times the width, and planes are presented as pages of
their own. H W: rows and columns, S: samples of a pixel.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from fcn_lab.data.pictures.deep import silence_opencv
from fcn_lab.data.pictures.tiff_header import OFFSETS, Tag, TiffHeader, read_pages
from fcn_lab.data.pictures.unreadable import UnsupportedKind

Values = NDArray[Any]
NUMPY_MAGIC = b"\x93NUMPY"
REMEDY = "Save it as a TIFF without compression, or as an array of NumPy's (.npy)"
_JPEG = (6, 7)
# the limits beyond which OpenCV refuses a picture
_LARGEST_SIDE, _MOST_PIXELS = 2**20, 2**30
# TIFF's numbers of the predictors that store differences
_DIFFERENCES, _FLOAT_DIFFERENCES = 2, 3
_COPIED_TAGS = (
    *(Tag.WIDTH, Tag.HEIGHT, Tag.BITS, Tag.FORMAT, Tag.COMPRESSION, Tag.PREDICTOR, Tag.FILL_ORDER),
    *(Tag.ROWS_A_STRIP, Tag.TILE_WIDTH, Tag.TILE_HEIGHT, *OFFSETS),
)


def is_numpy(file: BinaryIO) -> bool:
    """Returns whether a file is an array of NumPy's."""
    file.seek(0)
    return file.read(len(NUMPY_MAGIC)) == NUMPY_MAGIC


def read_shape(file: BinaryIO) -> tuple[int, ...]:
    """Returns (H,W) or (H,W,S) of an array of NumPy's, from its header.

    Raises:
        UnsupportedKind: it has no such shape, or holds neither real numbers nor truth values.
    """
    file.seek(0)
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else _read_long_header
    shape, _, kind = read_header(file)
    if len(shape) not in (2, 3) or 0 in shape or kind.kind not in "uifb":
        raise UnsupportedKind(f"holds an array {shape} of {kind}, expected (H, W) or (H, W, C)")
    return shape


def read_array(file: BinaryIO) -> Values:
    """Returns the content of an array of NumPy's; Python objects in it are refused."""
    file.seek(0)
    values = np.asarray(np.load(file, allow_pickle=False))
    return values[..., 0] if values.shape[2:] == (1,) else values


def decode_bands(file: BinaryIO, header: TiffHeader) -> Values:
    """Returns all samples (H,W,S) of all pages of a TIFF file, as stored.

    Raises:
        UnsupportedKind: OpenCV cannot decode one, or pages differ in size or type.
    """
    file.seek(0)
    content = file.read()
    pages = [page for page in read_pages(file) if not TiffHeader.is_copy(page)]
    # the limit of pixels was checked for the first
    sizes = {(page[Tag.WIDTH], page[Tag.HEIGHT]) for page in pages}
    parts = [_decode_page(content, page) for page in pages] if len(sizes) == 1 else []
    if len({(part.shape[:2], part.dtype) for part in parts}) != 1:
        raise UnsupportedKind("has pages of several sizes or types")
    return np.concatenate(parts, 2)


def _decode_page(content: bytes, page: dict[int, Any]) -> Values:
    if page.get(Tag.COMPRESSION) in _JPEG:
        raise UnsupportedKind("has several channels compressed as JPEG, which blurs them")
    samples, planar = int(page.get(Tag.SAMPLES, 1)), page.get(Tag.PLANAR, 1) != 1
    predictor = page.get(Tag.PREDICTOR, 1)
    if predictor == _FLOAT_DIFFERENCES and samples > 1 and not planar:
        raise UnsupportedKind("has floating point channels that are stored as differences")
    if planar:
        return np.stack([_decode_grey(content, tags) for tags in _list_planes(page, samples)], 2)
    flat_page = {**page, Tag.WIDTH: page[Tag.WIDTH] * samples}
    if Tag.TILE_WIDTH in page:
        flat_page[Tag.TILE_WIDTH] = page[Tag.TILE_WIDTH] * samples
    has_differences = predictor == _DIFFERENCES and samples > 1
    if has_differences:
        flat_page[Tag.PREDICTOR] = 1
    columns, pixels = flat_page[Tag.WIDTH], flat_page[Tag.WIDTH] * page[Tag.HEIGHT]
    if columns > _LARGEST_SIDE or pixels > _MOST_PIXELS:
        raise UnsupportedKind(
            f"has {samples} channels of {page[Tag.HEIGHT]}x{page[Tag.WIDTH]} pixels, more than can "
            "be decoded of one page"
        )
    values = _decode_grey(content, flat_page)
    values = values.reshape(*values.shape[:1], -1, samples)
    if has_differences:
        _sum_up(values, page.get(Tag.TILE_WIDTH, page[Tag.WIDTH]))
    return values


def _list_planes(page: dict[int, Any], samples: int) -> Iterator[dict[int, Any]]:
    for number in range(samples):
        plane = dict(page)
        for tag in OFFSETS:
            if tag in page:
                count = len(page[tag]) // samples
                plane[tag] = page[tag][number * count : (number + 1) * count]
        yield plane


def _decode_grey(content: bytes, page: dict[int, Any]) -> Values:
    """Returns (H,W), as if a page of these tags had one sample of no particular meaning."""
    is_big = content[2:4] in (b"+\0", b"\0+")
    copies = {tag: page[tag] for tag in _COPIED_TAGS if tag in page}
    tags = {tag: value if isinstance(value, tuple) else (value,) for tag, value in copies.items()}
    tags |= {tag: tags[tag][:1] for tag in (Tag.BITS, Tag.FORMAT) if tag in tags}
    tags |= {Tag.PHOTOMETRIC: (1,), Tag.SAMPLES: (1,)}
    content += b"\0" * (len(content) % 2)
    order = "<" if content[:1] == b"I" else ">"
    pointer = struct.pack(order + "Q" if is_big else order + "I", len(content))
    offset = 8 if is_big else 4
    parts = (content[:offset], pointer, content[offset + len(pointer) :])
    entries = _write_entries(tags, len(content), order, is_big)
    with silence_opencv():
        file = np.frombuffer(b"".join((*parts, entries)), np.uint8)
        values = cv2.imdecode(file, cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 2:
        raise UnsupportedKind("has samples that cannot be decoded")
    return values


def _write_entries(
    tags: Mapping[int, tuple[int, ...]], start: int, order: str, is_big: bool
) -> bytes:
    """Returns a TIFF directory of whole numbers that stands at `start` in a file."""
    count, kind, word = ("Q", 16, "Q") if is_big else ("H", 4, "I")
    width = struct.calcsize("=" + word)
    head = struct.pack(order + count, len(tags))
    data_start = start + len(head) + len(tags) * (4 + 2 * width) + width
    entries, extra = b"", b""
    for tag, values in sorted(tags.items()):
        data = struct.pack(f"{order}{len(values)}{word}", *values)
        entries += struct.pack(order + "HH" + word, tag, kind, len(values))
        if len(data) > width:
            data, extra = struct.pack(order + word, data_start + len(extra)), extra + data
        entries += data
    return head + entries + b"\0" * width + extra


def _sum_up(values: Values, tile: int) -> None:
    """Undoes the differences between neighbours of a row, tile by tile, in place."""
    for start in range(0, values.shape[1], tile):
        part = values[:, start : start + tile]
        np.cumsum(part, axis=1, dtype=values.dtype, out=part)


def _read_long_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    return np.lib.format.read_array_header_2_0(file)
