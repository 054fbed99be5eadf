"""One frame from its two files, or an error that names the file."""

import struct
import zlib
from collections import Counter
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from fcn_lab.data.frames import Pixels
from fcn_lab.data.labels import LabelCodec, resize_image, resize_label
from fcn_lab.data.layouts.layout import Pair
from fcn_lab.errors import UserError


def open_picture(path: Path) -> Image.Image:
    """A decoded picture whose every chunk was checked; Pillow alone decodes past some flipped bits.

    Raises:
        UserError: the file is truncated or corrupt
    """
    data = path.read_bytes()
    try:
        with Image.open(BytesIO(data)) as checked:
            checked.verify()
        picture = Image.open(BytesIO(data))
        picture.load()
    except UnidentifiedImageError as error:
        raise _unsound(path, data, "no picture format") from error
    except (OSError, SyntaxError, ValueError, EOFError, zlib.error, struct.error) as error:
        raise _unsound(path, data, str(error)) from error
    return picture


def _unsound(path: Path, data: bytes, reason: str) -> UserError:
    return UserError(
        f"{path} is truncated or corrupt ({reason}; {len(data)} bytes).\n"
        "Restore it from the archive it came from."
    )


@dataclass(frozen=True)
class Decoded:
    """One frame.

    Image (h,w,3), ids of the class file (h,w), the label's strange colours and its pixel count as
    stored.
    """

    image: Pixels
    ids: Pixels
    strange: Counter[str]
    stored: int


def read_pair(pair: Pair, codec: LabelCodec, size: tuple[int, int]) -> Decoded:
    """Decode both files and bring them to size (h,w).

    Raises:
        UserError: either file is not sound, or they differ in size
    """
    image, label = open_pair(pair)
    try:
        ids, strange = codec.decode(label)
    except UserError as error:
        raise UserError(f"{pair.label} {error}") from error
    return Decoded(resize_image(image, size), resize_label(ids, size), strange, ids.size)


def open_pair(pair: Pair) -> tuple[Pixels, Image.Image]:
    """The picture (H,W,3) and the label file.

    Raises:
        UserError: either file is not sound, or they differ in size
    """
    image = np.asarray(open_picture(pair.image).convert("RGB"))
    label = open_picture(pair.label)
    if image.shape[1::-1] != label.size:
        raise UserError(
            f"{pair.image} is {image.shape[0]}x{image.shape[1]} but its label {pair.label} is "
            f"{label.size[1]}x{label.size[0]}.\n"
            "Expected the same size; restore both from one archive."
        )
    return image, label
