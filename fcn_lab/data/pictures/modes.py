"""Turns pictures of all of Pillow's modes into channels. H W: rows and columns, S: samples."""

import numpy as np
from PIL import Image

from fcn_lab.data.pictures.unreadable import UnsupportedKind
from fcn_lab.pixels import Pixels

# modes that Pillow cannot bring to RGB in one step, and the step before
_INTERMEDIATE_MODES = {"La": "LA", "RGBa": "RGBA"}
_SAMPLES = ("L", "LA", "RGB", "RGBA")


def read_samples(picture: Image.Image) -> Pixels:
    """Returns grey, colours and transparency as (H,W) or (H,W,S)."""
    mode = _INTERMEDIATE_MODES.get(picture.mode)
    picture = picture.convert(mode) if mode else picture
    if picture.mode == "1":
        return np.asarray(picture.convert("L"))
    return np.asarray(picture if picture.mode in _SAMPLES else convert_to_rgb(picture))


def convert_to_rgb(picture: Image.Image) -> Pixels:
    """Returns colours (H,W,3), without transparency.

    Raises:
        UnsupportedKind: Pillow makes no colours of the picture's mode.
    """
    # Pillow would warn that transparency is dropped
    picture.info.pop("transparency", None)
    mode = _INTERMEDIATE_MODES.get(picture.mode)
    try:
        return np.asarray((picture.convert(mode) if mode else picture).convert("RGB"))
    except ValueError as error:
        raise UnsupportedKind(f"has mode {picture.mode}") from error
