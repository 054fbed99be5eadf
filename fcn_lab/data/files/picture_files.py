"""Reads ``data.images``: the patterns of a picture's files, and the channels that each gives.

==================================================  ===================================
``photos/*.jpg``                                    colours
``[photos/*.jpg, depth/*.png]``                     colours, and one channel of depth
``{files: bands/*.tif, channels: 8, range: 10000}`` eight bands; 10000 becomes 255
==================================================  ===================================
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fcn_lab.data.pictures.parts import COLOURS, RGB, PicturePart
from fcn_lab.errors import UserError

CHANNELS_LIMIT = 1024
_KEYS = ("files", "channels", "range")
_EXAMPLE = "'data.images=[photos/*.jpg,{files: depth/*.png, channels: 1, range: 10000}]'"


@dataclass(frozen=True)
class PictureFiles:
    """One pattern of files, and what each of them gives to its frame's picture."""

    pattern: str
    part: PicturePart = RGB[0]

    def describe(self) -> str:
        """Returns in words the channels and the files they are from."""
        range_text = "" if self.part.range is None else f" (0…{self.part.range:g})"
        return f"{self.part.channels} of {self.pattern}{range_text}"


def read_images(images: object) -> tuple[PictureFiles, ...]:
    """Returns the patterns of a picture's files, of which the first has colours by default.

    Raises:
        UserError: it is neither a pattern, nor a mapping with one, nor a list of these.
    """
    entries = [images] if isinstance(images, str | Mapping) else images
    if not isinstance(entries, Sequence) or not entries:
        raise UserError(f"data.images={images}: expected a pattern or several, such as\n{_EXAMPLE}")
    return tuple(_read_entry(entry, COLOURS if k == 0 else 1) for k, entry in enumerate(entries))


def _read_entry(entry: object, channels: int) -> PictureFiles:
    if isinstance(entry, str):
        return PictureFiles(entry, PicturePart(channels))
    if not isinstance(entry, Mapping) or not set(entry) <= set(_KEYS):
        raise UserError(
            f"data.images: {entry} is no pattern, and no mapping of files, channels and range.\n"
            f"Expected {_EXAMPLE}"
        )
    pattern, count = entry.get("files"), entry.get("channels", channels)
    if not isinstance(pattern, str):
        raise UserError(
            f"data.images: {dict(entry)} has no pattern under files.\nExpected {_EXAMPLE}"
        )
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= CHANNELS_LIMIT:
        raise UserError(
            f"data.images: channels: {count} of {pattern}: expected a number from 1 to "
            f"{CHANNELS_LIMIT}"
        )
    maximum = entry.get("range")
    is_number = isinstance(maximum, int | float) and not isinstance(maximum, bool)
    if maximum is not None and not (is_number and 0 < maximum < float("inf")):
        raise UserError(
            f"data.images: range: {maximum} of {pattern}: expected the value that becomes 255, "
            "such as 10000"
        )
    return PictureFiles(pattern, PicturePart(count, None if maximum is None else float(maximum)))
