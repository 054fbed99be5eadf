"""Decodes the colours of a label file to ids; signature and legend are in ``label_codecs``."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from PIL.Image import Image

from fcn_lab.data.label_codecs import LabelView
from fcn_lab.errors import UserError
from fcn_lab.pixels import VOID, Colour, Pixels

# a grey is the colour of three equal parts
_MODES = ("RGB", "RGBA", "P", "PA", "1", "L", "LA")


class ColourLabels:
    """A codec for three channels, with the id of every 24-bit colour in one look-up table.

    Raises:
        UserError: two classes share a colour, or a colour is none.
    """

    def __init__(self, names: Sequence[str], colours: Sequence[Colour]) -> None:
        self.names = tuple(names)
        self.colours = tuple(colours)
        _refuse_bad_colours(self.names, self.colours)
        self._table = np.full(1 << 24, VOID, np.uint8)
        self._table[[_encode_colour(colour) for colour in colours]] = np.arange(
            len(colours), dtype=np.uint8
        )

    def key(self) -> str:
        """Returns a text of the colours and their ids."""
        return repr(("colour", self.names, self.colours))

    def describe(self) -> str:
        """Returns "", because colours are always given and never guessed."""
        return ""

    def decode(self, picture: Image) -> tuple[Pixels, Counter[str]]:
        """Returns the ids by colour; a colour of no class becomes VOID and is counted.

        Raises:
            UserError: the file holds no colours.
        """
        view = self.survey(picture)
        return view.ids, view.strange_values

    def survey(self, picture: Image) -> LabelView:
        """Returns the ids with the colours they came from, refusing no colour.

        Raises:
            UserError: the file holds no colours.
        """
        if picture.mode not in _MODES:
            raise UserError(f"has mode {picture.mode}; expected RGB colours of the class file.")
        pixels = np.asarray(picture.convert("RGB"))
        channels = pixels.astype(np.uint32)
        codes = channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]
        ids = self._table[codes]
        is_wrong = ids == VOID
        values, counts = np.unique(codes[is_wrong], return_counts=True)
        strange_counts = {
            _format_colour(int(value)): int(count)
            for value, count in zip(values, counts, strict=True)
        }
        return LabelView(pixels, ids, is_wrong, Counter(strange_counts))


def _refuse_bad_colours(names: tuple[str, ...], colours: tuple[Colour, ...]) -> None:
    for name, colour in zip(names, colours, strict=True):
        if colours.count(colour) > 1 or not all(0 <= part <= 255 for part in colour):
            raise UserError(
                f"The class file gives {name} the colour {colour}; expected r g b from 0 to 255, "
                "and no colour twice."
            )


def _encode_colour(colour: Colour) -> int:
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def _format_colour(code: int) -> str:
    return f"({code >> 16},{code >> 8 & 255},{code & 255})"
