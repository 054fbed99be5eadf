"""Masks of every mode that hold the same ids."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from support import fakes
from support.pictures import encoded, npy, png, tiff

IDS = np.random.default_rng(5).integers(0, 2, fakes.SIZE, np.uint8)


def with_alpha(mode: str) -> Image.Image:
    picture = Image.fromarray(IDS).convert(mode)
    picture.putalpha(Image.fromarray(np.arange(IDS.size, dtype=np.uint8).reshape(IDS.shape)))
    return picture


def with_palette() -> Image.Image:
    picture = Image.fromarray(IDS)
    picture.putpalette([9, 9, 9, 200, 0, 0])
    return picture


SAME: dict[str, Callable[[], bytes]] = {
    "1.png": lambda: encoded(Image.fromarray(IDS.astype(np.bool_)), "png"),
    "L.png": lambda: encoded(Image.fromarray(IDS), "png"),
    "P.png": lambda: encoded(with_palette(), "png"),
    "P.gif": lambda: encoded(with_palette(), "gif"),
    "LA.png": lambda: encoded(with_alpha("L"), "png"),
    "RGB.png": lambda: encoded(Image.fromarray(IDS).convert("RGB"), "png"),
    "RGBA.png": lambda: encoded(with_alpha("RGB"), "png"),
    "16.png": lambda: png(IDS.astype(np.uint16)[..., None], 0),
    "16.tiff": lambda: tiff(IDS.astype(np.uint16), ">"),
    "int32.tiff": lambda: tiff(IDS.astype(np.int32)),
    "uint32.tiff": lambda: tiff(IDS.astype(np.uint32)),
    "float32.tiff": lambda: tiff(IDS.astype(np.float32)),
    "float64.tiff": lambda: tiff(IDS.astype(np.float64)),
    "bool.npy": lambda: npy(IDS.astype(np.bool_)),
    "int64.npy": lambda: npy(IDS.astype(np.int64)),
    "one_channel.npy": lambda: npy(IDS[..., None]),
    "three_channels.npy": lambda: npy(np.repeat(IDS[..., None], 3, 2)),
}
