"""From the pixels of a label file to ids: one number a pixel, or RGB colours.

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

from fcn_lab.data.classes import VOID, Colour, is_void
from fcn_lab.data.mask_values import read_values
from fcn_lab.errors import UserError

_SHOWN = 5


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

    def describe(self) -> str:
        """A line on what was found out and not said; "" where there is nothing of the kind."""
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
    """The pixel is the id.

    255 is void unless it is the id of a class; another id that names no class is an error at once.

    Args:
        names: the class of each id
        colours: what they are drawn in
        void_ids: ids besides 255 that are void
        ids: the ids, in the order of `names`; 0, 1, 2 … by default
        white: the place of the class that 255 is
        key: what the user may type to say which ids there are
    """

    def __init__(
        self,
        names: Sequence[str],
        colours: Sequence[Colour],
        void_ids: Sequence[int] = (),
        ids: Sequence[int] | None = None,
        white: int | None = None,
        key: str = "",
    ) -> None:
        self.names = tuple(names)
        self.colours = tuple(colours)
        self._ids = list(range(len(names)) if ids is None else ids)
        self._implied = ids is None and not void_ids
        self._void_ids = sorted({*void_ids, VOID} - set(self._ids))
        self._legal = np.zeros(256, np.bool_)
        self._legal[[*self._ids, *self._void_ids]] = True
        self._table = np.full(256, VOID, np.uint8)
        self._table[self._ids] = np.arange(len(names), dtype=np.uint8)
        self._table[self._void_ids] = VOID
        self._white, self._key = white, key
        if white is not None:
            self._table[VOID] = white

    def key(self) -> str:
        """The legal ids and what they become."""
        return repr(("index", self.names, self._legal.tobytes(), self._table.tobytes()))

    def describe(self) -> str:
        """What 255 is taken for, where that was found out and not said."""
        if self._white is None:
            return ""
        void = "; data.ignore=[255] makes it void" if self._key else ""
        return f"masks hold 0 and 255 alone: 255 is read as {self.names[self._white]}{void}"

    def foreground(self) -> int | None:
        """The place of the one class besides that of id 0, where ids follow the order of names."""
        scored = [k for k, name in enumerate(self.names) if k > 0 and not is_void(name)]
        return scored[0] if self._implied and len(scored) == 1 else None

    def with_white(self, place: int) -> "IndexLabels":
        """The same, but 255 is the class at this place."""
        return IndexLabels(self.names, self.colours, white=place, key=self._key)

    def decode(self, picture: Image) -> tuple[NDArray[np.uint8], Counter[str]]:
        """The pixels themselves, once they are known to be ids.

        Raises:
            UserError: no number a pixel, or an id that names no class
        """
        seen = self.survey(picture)
        if seen.strange:
            shown = list(seen.strange)[:_SHOWN]
            more = f" and {len(seen.strange) - _SHOWN} more" if len(seen.strange) > _SHOWN else ""
            void = (
                f", or {' or '.join(map(str, self._void_ids))} for void" if self._void_ids else ""
            )
            raise UserError(
                f"holds {', '.join(shown)}{more} ({seen.strange.total()} pixels); "
                f"expected {self._expected()}{void}.{self._advice(seen)}"
            )
        return seen.ids, seen.strange

    def survey(self, picture: Image) -> LabelView:
        """The pixels; an id that names no class becomes VOID and is counted.

        Raises:
            UserError: no number a pixel
        """
        values = read_values(picture)
        pixels = values
        if values.dtype != np.uint8:
            pixels = np.where((values < 0) | (values > VOID), VOID, values).astype(np.uint8)
        wrong = np.take(~self._legal, pixels) | (values != pixels)
        found, counts = np.unique(values[wrong], return_counts=True)
        strange = {f"id {value}": int(count) for value, count in zip(found, counts, strict=True)}
        ids = np.where(wrong, VOID, np.take(self._table, pixels))
        return LabelView(pixels, ids.astype(np.uint8), wrong, Counter(strange))

    def _expected(self) -> str:
        if self._ids == list(range(len(self._ids))):
            return f"0..{len(self.names) - 1} ({self.names[0]} .. {self.names[-1]})"
        return ", ".join(
            f"{number} {name}" for number, name in zip(self._ids, self.names, strict=True)
        )

    def _advice(self, seen: LabelView) -> str:
        """How to say which ids there are; none where that is not the user's to say."""
        found = np.unique(seen.pixels).tolist()
        if not self._key:
            return ""
        if len(found) > 2 * len(self.names) + 1:
            return "\nWere masks resized as pictures are, or saved as JPEG? Make them anew as PNG"
        if len(found) < len(self.names):
            found = ["ID"] * len(self.names)
        listed = ", ".join(f"{n}: {v}" for n, v in zip(self.names, found, strict=False))
        return (
            f"\nSay which ids are whose: '{self._key}={{{listed}}}', and data.ignore=[ID] for void"
        )


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
