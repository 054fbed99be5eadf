"""Decodes the pixels of a label file, numbers or RGB colours, to ids.

Shared signature: ``decode(picture) -> (ids, strange)`` with ids (H,W) uint8 numbered as in the
class file, VOID where a pixel means nothing, and strange the colours that match no class with their
pixel counts. ``survey`` decodes a file without refusing a value. H W: rows and columns.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from fcn_lab.data.classes import LARGEST_ID, is_void
from fcn_lab.data.mask_palettes import MaskPalette
from fcn_lab.data.mask_values import NEGATIVE_VOID, WIDE_VOID, read_values
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID, Colour, Pixels
from fcn_lab.text.terminal import format_count, shorten_list

_ITEMS_SHOWN = 5


@dataclass(frozen=True)
class LabelView:
    """The content of a label file, including values that name no class.

    Attributes:
        pixels: (H,W) or (H,W,3) as stored; 16 bits where ids need them.
        ids: (H,W) as ``decode`` gives them.
        is_wrong: (H,W), where a value names no class.
        strange_values: those values with their pixel counts.
    """

    pixels: NDArray[np.unsignedinteger]
    ids: Pixels
    is_wrong: NDArray[np.bool_]
    strange_values: Counter[str]


class LabelCodec(Protocol):
    """The contract of a decoder of label files."""

    names: tuple[str, ...]
    colours: tuple[Colour, ...]

    def key(self) -> str:
        """Returns a text that differs whenever the result of decoding would."""
        ...

    def describe(self) -> str:
        """Returns a line on what was inferred from the masks; "" where nothing was inferred."""
        ...

    def decode(self, picture: Image) -> tuple[Pixels, Counter[str]]:
        """Returns the ids of one label file.

        Raises:
            UserError: its pixels cannot be labels; the message continues from the file's name.
        """
        ...

    def survey(self, picture: Image) -> LabelView:
        """Returns the content of one label file, whether or not it is valid.

        Raises:
            UserError: it is a kind of picture that cannot hold labels.
        """
        ...


class IndexLabels:
    """A codec for masks whose pixels are ids.

    255 is void unless it is the id of a class, and so is 65535 of sixteen bits; another id that
    names no class is an error at once.

    Args:
        names: the class of each id.
        colours: the colours that they are drawn in.
        void_ids: ids besides 255 that are void.
        ids: the ids, in the order of `names`; 0, 1, 2 … by default.
        white_class: the place of the class that 255 stands for.
        key: the key by which the user may state the ids.
        palette: the first mask's palette; a mask that numbers its colours otherwise is refused.
        are_others_void: whether ids that name no class are void, and not an error.
    """

    def __init__(
        self,
        names: Sequence[str],
        colours: Sequence[Colour],
        void_ids: Sequence[int] = (),
        ids: Sequence[int] | None = None,
        white_class: int | None = None,
        key: str = "",
        palette: MaskPalette | None = None,
        are_others_void: bool = False,
    ) -> None:
        self.names = tuple(names)
        self.colours = tuple(colours)
        self._ids = list(range(len(names)) if ids is None else ids)
        self.are_ids_stated = ids is not None
        self._is_white_open = not void_ids and not are_others_void and VOID not in self._ids
        self._void_ids = sorted({*void_ids, VOID} - set(self._ids))
        count = LARGEST_ID + 1 if are_others_void or max(self._ids, default=0) > VOID else VOID + 1
        self._is_legal = np.full(count, are_others_void, np.bool_)
        self._is_legal[[*self._ids, *self._void_ids]] = True
        self._table = np.full(count, VOID, np.uint8)
        # classes beyond those that a byte holds can only be void: `refuse_bad_values` sees to it
        self._table[self._ids] = np.minimum(np.arange(len(names)), VOID)
        self._table[self._void_ids] = VOID
        self._white_class, self._key = white_class, key
        self._palette = palette or MaskPalette()
        if white_class is not None:
            self._table[VOID] = white_class

    def key(self) -> str:
        """Returns a text of the legal ids and the classes they become."""
        # earlier packs read 65535 of sixteen bits as they read 255
        mark = ("wide void",) if self._table[VOID] != VOID and self._white_class is None else ()
        return repr(("index", self.names, self._is_legal.tobytes(), self._table.tobytes(), *mark))

    def describe(self) -> str:
        """Returns a line on what 255 is taken for; "" where that was not inferred."""
        if self._white_class is None:
            return ""
        void = "; data.ignore=[255] makes it void" if self._key else ""
        return f"masks hold 0 and 255 alone: 255 is read as {self.names[self._white_class]}{void}"

    def find_foreground(self) -> tuple[int, int] | None:
        """Returns index and id of the only class besides id 0; None where 255 cannot be one."""
        foregrounds = [
            (k, number)
            for k, (name, number) in enumerate(zip(self.names, self._ids, strict=True))
            if number > 0 and not is_void(name)
        ]
        return foregrounds[0] if self._is_white_open and len(foregrounds) == 1 else None

    def suggest_white(self, index: int) -> str:
        """Returns advice where 255 may be the class at this index in some masks, void in others."""
        name = self.names[index]
        if not self._key:
            return f"Save them anew, with one number for {name} and 255 for void alone"
        ids = ", ".join(
            f"{n}: {[number, VOID] if k == index else number}"
            for k, (n, number) in enumerate(zip(self.names, self._ids, strict=True))
        )
        return (
            f"Type '{self._key}={{{ids}}}' if {VOID} is {name} too, data.ignore=[{VOID}] if it "
            "is void"
        )

    def read_white_as(self, index: int) -> "IndexLabels":
        """Returns the same codec, but with 255 as the class at this index."""
        return IndexLabels(
            self.names, self.colours, white_class=index, key=self._key, palette=self._palette
        )

    def decode(self, picture: Image) -> tuple[Pixels, Counter[str]]:
        """Returns the ids, after checking that every pixel is one.

        Raises:
            UserError: it holds no numbers, or an id that names no class.
        """
        view = self.survey(picture)
        if view.strange_values:
            text = shorten_list(list(view.strange_values), _ITEMS_SHOWN)
            void = (
                f", or {' or '.join(map(str, self._void_ids))} for void" if self._void_ids else ""
            )
            raise UserError(
                f"holds {text} ({format_count(view.strange_values.total(), 'pixel')}); "
                f"expected {self._describe_ids()}{void}.{self._suggest_ids(picture)}"
            )
        return view.ids, view.strange_values

    def survey(self, picture: Image) -> LabelView:
        """Returns the pixels; an id that names no class becomes VOID and is counted.

        Raises:
            UserError: it holds no numbers, or its palette numbers the colours otherwise.
        """
        values = read_values(picture)
        pixels = values
        is_outside, is_void, is_wide_void = np.zeros((3, *values.shape), np.bool_)
        if values.dtype != np.uint8:
            kind = np.uint8 if len(self._table) == VOID + 1 else np.uint16
            is_void, is_wide_void = values == NEGATIVE_VOID, values == WIDE_VOID
            is_beyond = (values < 0) | (values >= len(self._table))
            pixels = np.where(is_beyond | is_wide_void, VOID, values).astype(kind)
            is_outside = is_beyond & ~(is_void | is_wide_void)
        if conflict := self._palette.find_conflict(picture, pixels, self._table):
            raise UserError(f"{conflict}\n{self._suggest_colours()}")
        is_wrong = np.take(~self._is_legal, pixels) | is_outside
        wrong_values, counts = np.unique(values[is_wrong], return_counts=True)
        strange_counts = {
            f"id {value}": int(count) for value, count in zip(wrong_values, counts, strict=True)
        }
        is_ignored = is_wrong | is_void
        # where 255 is the object, so is 65535 of sixteen bits
        if self._white_class is None:
            is_ignored |= is_wide_void
        ids = np.where(is_ignored, VOID, np.take(self._table, pixels))
        return LabelView(pixels, ids.astype(np.uint8), is_wrong, Counter(strange_counts))

    def _suggest_colours(self) -> str:
        if self._palette.is_void_ambiguous:
            return "Save the masks anew, with one palette for all"
        colours = (list(self._palette.colours.get(number, ())) or "COLOUR" for number in self._ids)
        text = ", ".join(map("{}: {}".format, self.names, colours))
        return f"Name the classes by colour: '{self._key}={{{text}}}'"

    def _describe_ids(self) -> str:
        if self._ids == list(range(len(self._ids))):
            return f"0..{len(self.names) - 1} ({self.names[0]} .. {self.names[-1]})"
        return ", ".join(
            f"{number} {name}" for number, name in zip(self._ids, self.names, strict=True)
        )

    def _suggest_ids(self, picture: Image) -> str:
        """Returns advice on how to state the ids; "" where the user cannot state them."""
        ids = [number for number in np.unique(read_values(picture)).tolist() if number >= 0]
        if not self._key:
            return ""
        if len(ids) > 2 * len(self.names) + 1:
            return "\nWere masks resized as pictures are, or saved as JPEG? Make them anew as PNG"
        if len(ids) < len(self.names):
            ids = ["ID"] * len(self.names)
        text = ", ".join(f"{n}: {v}" for n, v in zip(self.names, ids, strict=False))
        return f"\nSay which ids are whose: '{self._key}={{{text}}}', and data.ignore=[ID] for void"
