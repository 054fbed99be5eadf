"""From the pixels of a label file to ids: index PNGs and RGB colours.

Shared signature: ``decode(picture) -> (ids, strange)`` with ids (H,W) uint8 numbered as in the
class file, VOID where a pixel means nothing, and strange the colours that match no class with their
pixel counts. ``survey`` sees the same and refuses no value. H W: rows and columns.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from fcn_lab.data.classes import VOID, Colour
from fcn_lab.errors import UserError


@dataclass(frozen=True)
class LabelView:
    """A label file as it is.

    Attributes:
        pixels: (H,W) or (H,W,3) as stored
        ids: (H,W) as ``decode`` gives them
        wrong: (H,W), where a value names no class
        strange: those values with their pixel counts
    """

    pixels: NDArray[np.uint8]
    ids: NDArray[np.uint8]
    wrong: NDArray[np.bool_]
    strange: Counter[str]


class LabelCodec(Protocol):
    """What a layout's label files hold."""

    names: tuple[str, ...]
    colours: tuple[Colour, ...]

    def key(self) -> str:
        """A text that differs wherever decoding would."""
        ...

    def decode(self, picture: Image) -> tuple[NDArray[np.uint8], Counter[str]]:
        """Ids of one label file.

        Raises:
            UserError: its pixels cannot be labels; the text goes on from the file's name
        """
        ...

    def survey(self, picture: Image) -> LabelView:
        """What one label file holds, whether or not it may.

        Raises:
            UserError: a kind of picture that holds no labels at all
        """
        ...


class IndexLabels:
    """One channel, the pixel is the id.

    255 is always void; any other id that names no class is an error at once.

    Args:
        names: the class of each id
        colours: what they are drawn in
        void_ids: ids besides 255 that are void
        ids: the ids, in the order of `names`; 0, 1, 2 … by default
    """

    def __init__(
        self,
        names: Sequence[str],
        colours: Sequence[Colour],
        void_ids: Sequence[int] = (),
        ids: Sequence[int] | None = None,
    ) -> None:
        self.names = tuple(names)
        self.colours = tuple(colours)
        self._ids = list(range(len(names)) if ids is None else ids)
        self._void_ids = sorted({*void_ids, VOID})
        self._legal = np.zeros(256, np.bool_)
        self._legal[[*self._ids, *self._void_ids]] = True
        self._table = np.full(256, VOID, np.uint8)
        self._table[self._ids] = np.arange(len(names), dtype=np.uint8)
        self._table[self._void_ids] = VOID

    def key(self) -> str:
        """The legal ids and what they become."""
        return repr(("index", self.names, self._legal.tobytes(), self._table.tobytes()))

    def decode(self, picture: Image) -> tuple[NDArray[np.uint8], Counter[str]]:
        """The pixels themselves, once they are known to be ids.

        Raises:
            UserError: not one channel of eight bits, or an id that names no class
        """
        seen = self.survey(picture)
        if seen.strange:
            raise UserError(
                f"holds {', '.join(seen.strange)} ({seen.strange.total()} pixels); "
                f"expected {self._expected()}, or {' or '.join(map(str, self._void_ids))} for void."
            )
        return seen.ids, seen.strange

    def survey(self, picture: Image) -> LabelView:
        """The pixels; an id that names no class becomes VOID and is counted.

        Raises:
            UserError: not one channel of eight bits
        """
        if picture.mode not in ("L", "P"):
            raise UserError(
                f"has mode {picture.mode}; expected one channel of ids {self._expected()}."
            )
        pixels = np.asarray(picture)
        counts = np.bincount(pixels.ravel(), minlength=256)
        wrong = np.flatnonzero((counts > 0) & ~self._legal)
        strange = Counter({f"id {value}": int(counts[value]) for value in wrong})
        return LabelView(
            pixels, np.take(self._table, pixels), np.take(~self._legal, pixels), strange
        )

    def _expected(self) -> str:
        if self._ids == list(range(len(self._ids))):
            return f"0..{len(self.names) - 1} ({self.names[0]} .. {self.names[-1]})"
        return ", ".join(
            f"{number} {name}" for number, name in zip(self._ids, self.names, strict=True)
        )


class ColourLabels:
    """Three channels; one 24-bit look-up table holds the id of every possible colour.

    Raises:
        UserError: two classes share a colour, or a colour is none
    """

    def __init__(self, names: Sequence[str], colours: Sequence[Colour]) -> None:
        self.names = tuple(names)
        self.colours = tuple(colours)
        _refuse_bad_colours(self.names, self.colours)
        self._table = np.full(1 << 24, VOID, np.uint8)
        self._table[[_code(colour) for colour in colours]] = np.arange(len(colours), dtype=np.uint8)

    def key(self) -> str:
        """The colours and their ids."""
        return repr(("colour", self.names, self.colours))

    def decode(self, picture: Image) -> tuple[NDArray[np.uint8], Counter[str]]:
        """Ids by colour; a colour of no class becomes VOID and is counted.

        Raises:
            UserError: the file holds no colours
        """
        seen = self.survey(picture)
        return seen.ids, seen.strange

    def survey(self, picture: Image) -> LabelView:
        """The same with the colours themselves.

        Raises:
            UserError: the file holds no colours
        """
        if picture.mode not in ("RGB", "RGBA", "P"):
            raise UserError(f"has mode {picture.mode}; expected RGB colours of the class file.")
        pixels = np.asarray(picture.convert("RGB"))
        packed = pixels.astype(np.uint32)
        codes = packed[..., 0] << 16 | packed[..., 1] << 8 | packed[..., 2]
        ids = self._table[codes]
        wrong = ids == VOID
        values, counts = np.unique(codes[wrong], return_counts=True)
        strange = {
            _name(int(value)): int(count) for value, count in zip(values, counts, strict=True)
        }
        return LabelView(pixels, ids, wrong, Counter(strange))


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Area average on the way down, linear on the way up; (H,W,3) to (h,w,3)."""
    if image.shape[:2] == size:
        return image
    method = cv2.INTER_AREA if size[0] < image.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size[::-1], interpolation=method), np.uint8)


def resize_label(label: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Nearest pixel, the only resizing that invents no class; (H,W) to (h,w)."""
    if label.shape == size:
        return label
    return np.asarray(
        cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.uint8
    )


def _refuse_bad_colours(names: tuple[str, ...], colours: tuple[Colour, ...]) -> None:
    for name, colour in zip(names, colours, strict=True):
        if colours.count(colour) > 1 or not all(0 <= part <= 255 for part in colour):
            raise UserError(
                f"The class file gives {name} the colour {colour}; expected r g b from 0 to 255, "
                "and no colour twice."
            )


def _code(colour: Colour) -> int:
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def _name(code: int) -> str:
    return f"({code >> 16},{code >> 8 & 255},{code & 255})"
