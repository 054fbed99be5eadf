"""Compares the palettes of masks: ids whose colour changes from mask to mask cannot be classes.

Programs that make a new palette for every picture number the colours by how often they occur, so
that id 1 is a car in one mask and a tree in another.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from fcn_lab.pixels import VOID, Colour, Pixels


class MaskPalette:
    """The colours of ids in one mask, with which those of other masks are compared.

    Args:
        mask: the first mask; None, or another mode than P, means that there is no palette.
        ids: the ids that mean something.
    """

    def __init__(self, mask: Image | None = None, ids: Sequence[int] = ()) -> None:
        palette = _read_colours(mask)
        self.colours = {number: palette[number] for number in ids if number < len(palette)}
        self._void_colour = palette[VOID] if len(palette) > VOID else None
        counts = Counter(self.colours.values())
        self._owners = {c: number for number, c in self.colours.items() if counts[c] == 1}

    @property
    def is_void_ambiguous(self) -> bool:
        """Returns whether 255 has the colour of another id, as where zeros fill a palette up."""
        others = [colour for number, colour in self.colours.items() if number != VOID]
        return self._void_colour in others

    def find_conflict(
        self, mask: Image, pixels: NDArray[np.unsignedinteger], classes: Pixels
    ) -> str:
        """Returns a message where a mask gives an id the colour of another class's id, else "".

        Void may have any colour.

        Args:
            mask: a mask of any mode.
            pixels: (H,W), its ids.
            classes: the class of each id.
        """
        palette = _read_colours(mask) if self._owners else []
        for number in np.unique(pixels).tolist() if palette else ():
            colour = palette[number] if number < len(palette) else None
            owner = self._owners.get(colour, number) if colour else number
            if classes[number] not in (classes[owner], VOID):
                return (
                    f"gives id {number} the colour {list(colour or ())} that id {owner} has in "
                    "other masks: ids do not mean the same in all of them."
                )
        return ""


def _read_colours(mask: Image | None) -> list[Colour]:
    """Returns the colours in the order of the ids; none where the mask has no palette."""
    palette = mask.getpalette("RGB") if mask is not None and mask.mode == "P" else None
    parts = iter(palette or ())
    return list(zip(parts, parts, parts, strict=False))
