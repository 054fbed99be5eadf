"""Colours for classes that have none, which colour-blind eyes can tell apart, too.

The first is void's black; each further one is the colour that is farthest from all before it. The
distance of two colours is the least of four in CIELAB: as usual eyes see them, and as simulated for
the three kinds of colour blindness (Machado, Oliveira and Fernandes 2009, "A physiologically-based
model for simulation of color vision deficiency", table 1, severity 1.0).
"""

from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from fcn_lab.pixels import VOID_COLOUR, Colour

# linear RGB as each eye sees it
VISIONS = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
# values of a channel; the colours are chosen among all combinations
LEVELS = (0, 36, 73, 109, 146, 182, 219, 255)
# 255 classes, and void as a named class
MOST = 256


def format_hex(colour: Colour) -> str:
    """Returns the colour as #rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


@cache
def list_distinct_colours() -> tuple[Colour, ...]:
    """Returns a colour for each class, by its number, none of them void's black."""
    candidates = np.array([VOID_COLOUR, *product(LEVELS, repeat=3)], np.uint8)
    labs = np.stack([convert_to_lab(candidates, vision) for vision in VISIONS])
    picks, gaps = [0], np.full(len(candidates), np.inf)
    while len(picks) <= MOST:
        distances = np.linalg.norm(labs - labs[:, picks[-1:]], axis=-1).min(axis=0)
        gaps = np.minimum(gaps, distances)
        picks.append(int(gaps.argmax()))
    return tuple((int(r), int(g), int(b)) for r, g, b in candidates[picks[1:]])


def convert_to_lab(colours: NDArray[np.uint8], vision: str) -> NDArray[np.float32]:
    """Returns colours (M,3) in CIELAB as one of `VISIONS` sees them."""
    # imported here, since it is needed only where a class lacks a colour
    import cv2

    values = colours / 255
    # from sRGB's curve (IEC 61966-2-1) to linear light, and back
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    response = np.clip(light @ VISIONS[vision].T, 0, 1)
    srgb = np.where(response <= 0.0031308, response * 12.92, 1.055 * response ** (1 / 2.4) - 0.055)
    lab = cv2.cvtColor(srgb[None].astype(np.float32), cv2.COLOR_RGB2LAB)
    return np.asarray(lab[0], np.float32)


def generate_colour(number: int) -> Colour:
    """Returns the colour of class number 0..255 where it has none of its own."""
    return list_distinct_colours()[number]
