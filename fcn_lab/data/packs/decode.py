"""Reads pictures and masks from their files; the whole lab uses these functions.

Training, audit, predict, demo and ``load_run`` all call ``read_picture``; data/README.md tells for
each kind of file how it is read. H W: rows and columns as shown, not as stored.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fcn_lab.data.label_codecs import LabelCodec
from fcn_lab.data.layouts.layout import Pair
from fcn_lab.data.pictures import deep, matlab
from fcn_lab.data.pictures.modes import convert_to_rgb, read_samples
from fcn_lab.data.pictures.opening import OpenedPicture, open_upright, turn
from fcn_lab.data.pictures.parts import (
    COLOURS,
    RGB,
    PicturePart,
    choose_channels,
    scale_values,
)
from fcn_lab.data.pictures.unreadable import (
    CHANNELS_REMEDY,
    KIND_REMEDY,
    LIMIT,
    Limit,
    Unreadable,
    UnsupportedKind,
)
from fcn_lab.data.resizing import Resize, resize_frame
from fcn_lab.errors import UserError
from fcn_lab.pixels import Pixels

# the least and the largest number that Pillow's mode I holds
_INT32 = (-(2**31), 2**31 - 1)


@dataclass(frozen=True)
class DecodedFrame:
    """One frame: picture (h,w,C), label (h,w), and what its label file held.

    Attributes:
        image: the picture.
        label: ids of the class file, or the classes that a run makes of them.
        strange_values: colours of no class with their pixel counts.
        pixel_count: pixels of the label file.
    """

    image: Pixels
    label: Pixels
    strange_values: Counter[str]
    pixel_count: int


def read_picture(path: Path, limit: Limit = LIMIT) -> Pixels:
    """Returns any picture as 8-bit RGB, (H,W,3), upright and without transparency.

    Raises:
        Unreadable: the file is none, is truncated or corrupt, too large or of a kind not read.
    """
    return _as_rgb(path, open_upright(path, limit))


def read_parts(
    paths: Sequence[Path], limit: Limit = LIMIT, parts: Sequence[PicturePart] = RGB
) -> Pixels:
    """Returns the channels of several files of one frame behind each other, (H,W,C), upright.

    Raises:
        Unreadable: as for ``read_picture``, or a file has other channels than were asked for.
        UserError: the files differ in size, or it is not known which of them have to be turned.
    """
    return _open_parts(paths, limit, parts)[0]


def open_mask(path: Path, limit: Limit = LIMIT) -> Image.Image:
    """Returns a mask with its values as stored, upright; more than 8 bits as mode I or F.

    Raises:
        Unreadable: as for ``read_picture``, and where colours have more than eight bits.
    """
    return _as_mask(path, _open_upright_mask(path, limit))


def open_first_mask(paths: Iterable[Path], limit: Limit = LIMIT) -> Image.Image | None:
    """Returns the first mask that can be read, None where there is none."""
    for path in paths:
        with suppress(Unreadable):
            return open_mask(path, limit)
    return None


def read_pair(
    pair: Pair,
    codec: LabelCodec,
    size: tuple[int, int] | None,
    limit: Limit = LIMIT,
    resize: Resize = "stretch",
    parts: Sequence[PicturePart] = RGB,
) -> DecodedFrame:
    """Decodes picture and mask and brings both to (h,w); without a size they keep their own.

    Raises:
        UserError: either file is not sound, or they do not fit together.
    """
    image, label = open_pair(pair, limit, parts)
    ids, strange_values = decode_label(pair.label, label, codec)
    frame = (image, ids) if size is None else resize_frame(image, ids, size, resize)
    return DecodedFrame(*frame, strange_values, ids.size)


def decode_label(path: Path, label: Image.Image, codec: LabelCodec) -> tuple[Pixels, Counter[str]]:
    """Returns the ids (H,W) and the strange colours of an opened label; errors name its file."""
    try:
        return codec.decode(label)
    except UserError as error:
        raise UserError(f"{path} {error}") from error


def open_pair(
    pair: Pair, limit: Limit = LIMIT, parts: Sequence[PicturePart] = RGB
) -> tuple[Pixels, Image.Image]:
    """Returns the picture (H,W,C) and the mask, both upright.

    A mask without an orientation, beside a picture that was turned, was drawn over the picture as
    shown or over the picture as stored. Their sizes tell which; where they do not, the pair is
    refused.

    Raises:
        UserError: either file is not sound, or they do not fit together.
    """
    image, orientation = _open_parts(pair.images, limit, parts)
    mask = _open_upright_mask(pair.label, limit)
    label = _as_mask(pair.label, mask)
    mask_orientation = orientation if mask.orientation is None else None
    height, width = image.shape[:2]
    if mask_orientation is not None and mask_orientation > 1:
        if mask_orientation <= 4 or height == width:
            raise _orientation_error(pair.image, pair.label, mask_orientation)
        if label.size == (height, width):
            label = turn(label, mask_orientation)
    if label.size != (width, height):
        raise UserError(
            f"{pair.image} is {height}x{width} but its label {pair.label} is "
            f"{label.height}x{label.width}.\n"
            "Expected the same size; restore both from one archive."
        )
    return image, label


def _open_upright_mask(path: Path, limit: Limit) -> OpenedPicture:
    """Returns the mask in a picture's file or in one of MATLAB's."""
    if path.suffix.lower() != matlab.SUFFIX:
        return open_upright(path, limit)
    values = matlab.read_matlab_mask(path, limit)
    return OpenedPicture(Image.fromarray(values) if values.dtype == np.uint8 else values, None)


def _open_parts(
    paths: Sequence[Path], limit: Limit, parts: Sequence[PicturePart]
) -> tuple[Pixels, int | None]:
    """Returns the channels of the files (H,W,C), and the orientation that the first one states."""
    pictures = [
        open_upright(path, limit, part.channels) for path, part in zip(paths, parts, strict=True)
    ]
    arrays = [_as_channels(*triple) for triple in zip(paths, pictures, parts, strict=True)]
    orientation = pictures[0].orientation
    for path, picture, pixels in zip(paths, pictures, arrays, strict=True):
        if (orientation or 1) > 1 and picture.orientation is None:
            raise _orientation_error(paths[0], path, orientation)
        if pixels.shape[:2] != arrays[0].shape[:2]:
            sizes = ["x".join(map(str, p.shape[:2])) for p in (arrays[0], pixels)]
            raise UserError(
                f"{paths[0]} is {sizes[0]} but {path} is {sizes[1]}.\n"
                "Expected the same size, pixel over pixel"
            )
    return (arrays[0] if len(arrays) == 1 else np.concatenate(arrays, 2)), orientation


def _as_channels(path: Path, picture: OpenedPicture, part: PicturePart) -> Pixels:
    if part == RGB[0]:
        return _as_rgb(path, picture)
    if picture.value_range is not None and part.range is not None:
        reason = "declares a largest value of its own, beside the range in data.images"
        raise Unreadable(path, reason, KIND_REMEDY)
    content, value_range = picture.content, picture.value_range
    source_part = part if value_range is None else PicturePart(part.channels, value_range)
    try:
        values = read_samples(content) if isinstance(content, Image.Image) else content
        return scale_values(choose_channels(values, part.channels), source_part)
    except UnsupportedKind as error:
        raise Unreadable(path, str(error), CHANNELS_REMEDY) from error


def _as_rgb(path: Path, picture: OpenedPicture) -> Pixels:
    try:
        if isinstance(picture.content, Image.Image):
            return convert_to_rgb(picture.content)
        content = picture.content
        values = content if content.ndim == 2 else choose_channels(content, COLOURS)
        return choose_channels(deep.to_eight_bits(values, picture.value_range), COLOURS)
    except UnsupportedKind as error:
        raise Unreadable(path, str(error), KIND_REMEDY) from error


def _as_mask(path: Path, picture: OpenedPicture) -> Image.Image:
    content = picture.content
    if picture.value_range is not None:
        reason = "declares a largest value of its own, by which readers scale its ids"
        raise Unreadable(path, reason, "Save the mask as a PNG")
    if isinstance(content, Image.Image):
        return content
    if content.ndim == 3 and content.dtype == np.uint8 and content.shape[2] in (3, 4):
        return Image.fromarray(content)
    if content.ndim == 3:
        reason = "has colours of more than 8 bits a channel"
        raise Unreadable(path, reason, "Expected a mask of 8 bits")
    if content.dtype.kind == "f":
        return Image.fromarray(content.clip(*_INT32).astype(np.float32))
    return Image.fromarray(content.clip(*_INT32).astype(np.int32))


def _orientation_error(image: Path, file: Path, orientation: int | None) -> UserError:
    return UserError(
        f"{image} is to be turned (EXIF orientation {orientation}), and nothing tells whether "
        f"{file} was drawn before or after.\nSave the picture upright without the tag "
        "(mogrify -auto-orient), or take the tag off where the mask fits the picture as stored "
        "(exiftool -Orientation=)."
    )
