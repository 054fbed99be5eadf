"""Opens a file as one decoded picture of its own depth, upright, or names it in an error.

Every reader of the lab opens pictures here. H W: rows and columns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np
from PIL import Image, ImagePalette, TiffImagePlugin, WebPImagePlugin

from fcn_lab.data.pictures import bands, deep, png_header
from fcn_lab.data.pictures.parts import COLOURS
from fcn_lab.data.pictures.tiff_header import TiffHeader
from fcn_lab.data.pictures.unreadable import (
    CHANNELS_REMEDY,
    LIMIT,
    Limit,
    Unreadable,
    UnsupportedKind,
    open_regular,
    translate_errors,
)
from fcn_lab.text.terminal import format_count

# Pillow knows forty; those left out are drawn, not photographed, and their readers are less tried
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM")
# without these imports Pillow would import all of its forty plugins
_PLUGINS = (TiffImagePlugin, WebPImagePlugin)
_ORIENTATION = 0x0112
# EXIF orientation → what turns the stored picture upright
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS_ORIENTATIONS = (5, 6, 7, 8)
_PILLOW_LOCK = Lock()


@dataclass(frozen=True)
class OpenedPicture:
    """A decoded file, turned upright as its metadata say.

    Attributes:
        content: eight bits a channel or less as a picture; else values (H,W) or (H,W,C).
        orientation: what the metadata say, 1…8; None where they say nothing.
        value_range: the range of the values, where the file names it and they were scaled to it.
    """

    content: Image.Image | deep.Values
    orientation: int | None
    value_range: int | None = None


def open_upright(path: Path, limit: Limit = LIMIT, channels: int = COLOURS) -> OpenedPicture:
    """Returns the picture in a file after checking every chunk of it.

    Pillow alone does not notice some flipped bits. Where more channels are asked for than colours
    have, all samples and pages of a TIFF are channels.

    Raises:
        Unreadable: the file is none, is truncated or corrupt, too large or of a kind not read.
    """
    with open_regular(path) as file, translate_errors(path, file, FORMATS):
        if bands.is_numpy(file):
            height, width = bands.read_shape(file)[:2]
            limit.check(path, width, height)
            values = bands.read_array(file)
            return OpenedPicture(Image.fromarray(values) if values.dtype == bool else values, None)
        header = TiffHeader.read(file)
        if header is not None and channels not in (1, COLOURS):
            limit.check(path, *header.size)
            if header.channels != channels:
                # told before they are decoded: few bytes may describe very many
                reason = f"has {format_count(header.channels, 'channel')}, expected {channels}"
                raise Unreadable(path, reason, CHANNELS_REMEDY)
            try:
                values = bands.decode_bands(file, header)
            except UnsupportedKind as error:
                raise Unreadable(path, str(error), bands.REMEDY) from error
            return OpenedPicture(_turn_values(values, header.orientation), header.orientation)
        if header is not None:
            _refuse_several(path, header.pages)
            limit.check(path, *header.size)
        if header is not None and header.is_deep:
            values = _turn_values(deep.decode_tiff(file, header), header.xmp_orientation)
            return OpenedPicture(values, header.orientation)
        with _identify(file) as picture:
            limit.check(path, *picture.size)
            picture.verify()
        return _decode(path, _identify(file), file)


def upright_size(path: Path, limit: Limit = LIMIT) -> tuple[int, int]:
    """Returns H and W of the picture in a file, from its header alone.

    Raises:
        Unreadable: the header shows that the file cannot be read.
    """
    with open_regular(path) as file, translate_errors(path, file, FORMATS):
        header = TiffHeader.read(file)
        if bands.is_numpy(file):
            (height, width), orientation = bands.read_shape(file)[:2], None
        elif header is not None:
            (width, height), orientation = header.size, header.orientation
        else:
            with _identify(file) as picture:
                (width, height), orientation = picture.size, _peek_orientation(picture, file)
        limit.check(path, width, height)
        return (width, height) if orientation in _SIDEWAYS_ORIENTATIONS else (height, width)


def turn(picture: Image.Image, orientation: int | None) -> Image.Image:
    """Returns the picture upright that was stored under this orientation."""
    return picture.transpose(_TURNS[orientation]) if orientation in _TURNS else picture


def _turn_values(values: deep.Values, orientation: int | None) -> deep.Values:
    """Returns values (H,W) or (H,W,C) upright that were stored under this orientation."""
    result = values.swapaxes(0, 1) if orientation in _SIDEWAYS_ORIENTATIONS else values
    result = result[:, ::-1] if orientation in (2, 3, 6, 7) else result
    return result[::-1] if orientation in (3, 4, 7, 8) else result


def _decode(path: Path, picture: Image.Image, file: BinaryIO) -> OpenedPicture:
    if picture.format != "TIFF":
        # MPO is a JPEG with smaller copies, or the other eye's view, behind it
        _refuse_several(path, getattr(picture, "n_frames", 1) if picture.format != "MPO" else 1)
    # before the metadata are asked for, which may decode the picture and forget how it was stored
    is_cut, value_range = deep.is_cut(picture), deep.declared_range(picture)
    orientation = _read_orientation(picture)
    _mend_palette(picture)
    picture.load()
    if is_cut:
        return OpenedPicture(_turn_values(deep.decode(file), orientation), orientation)
    # of a TIFF nothing is left to turn: Pillow has turned it already
    image = turn(picture, _read_orientation(picture))
    content = np.asarray(image) if image.mode in deep.MODES else image
    return OpenedPicture(content, orientation, value_range)


def _mend_palette(picture: Image.Image) -> None:
    """Takes a TIFF's palette for one of 8 bits where no entry needs 16, as libtiff does.

    The format has 16, of which Pillow keeps the upper eight: these colours would all be black.
    """
    tags = getattr(picture, "tag_v2", {})
    entries = tags.get(TiffImagePlugin.COLORMAP, ()) if picture.mode == "P" else ()
    if entries and max(entries) <= 255:
        picture.palette = ImagePalette.raw("RGB;L", bytes(entries))


def _refuse_several(path: Path, count: int) -> None:
    if count > 1:
        reason = f"holds {count} pictures, and which one is meant is not known"
        raise Unreadable(path, reason, "Save each in a file of its own")


def _read_orientation(
    picture: Image.Image, read: Callable[[Image.Image], Image.Exif] = lambda p: p.getexif()
) -> int | None:
    """Returns the EXIF orientation; None also for broken metadata, whose pixels may be sound."""
    try:
        value = read(picture).get(_ORIENTATION)
    except Exception:
        # Pillow raises any kind of error for broken metadata
        return None
    return value if isinstance(value, int) and 1 <= value <= 8 else None


def _peek_orientation(picture: Image.Image, file: BinaryIO) -> int | None:
    """Returns the EXIF orientation; decodes the picture only if it may stand behind the pixels."""
    if picture.format == "PNG" and not png_header.has_late_text(file):
        # that of PNG decodes the picture first
        return _read_orientation(picture, Image.Image.getexif)
    return _read_orientation(picture)


def _identify(file: BinaryIO) -> Image.Image:
    """Returns the undecoded picture without Pillow's size limit, which is the whole process's."""
    with _PILLOW_LOCK:
        pillow_limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = pillow_limit
