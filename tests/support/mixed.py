"""Data sets whose pictures have forty sizes, drawn so that a network can learn them."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from support import fakes

Pixels = NDArray[np.uint8]
SIZES = tuple((20 + number % 8 * 5, 24 + number // 8 * 9) for number in range(40))


def draw(name: str, size: tuple[int, int], ids: Sequence[int]) -> tuple[Pixels, Pixels]:
    """Returns picture (H,W,3) and mask (H,W): bands of the ids, each with a grey of its own."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    bands = np.sort(rng.integers(0, size[1], len(ids) - 1))
    places = np.searchsorted(bands, np.arange(size[1]), side="right")
    mask = np.broadcast_to(np.array(ids, np.uint8)[places], size).copy()
    grey = (1 + places) * 220 // len(ids)
    noise = rng.integers(-12, 12, (*size, 3))
    return (grey[None, :, None] + noise).clip(0, 255).astype(np.uint8), mask


def folder(root: Path, ids: Sequence[int] = (0, 1, 255), count: int = 40) -> Path:
    """Writes ``photos/NAME.png`` and ``masks/NAME.png``, frame by frame of another size."""
    for number, size in enumerate(SIZES[:count]):
        name = f"frame_{number:02d}"
        picture, mask = draw(name, size, ids)
        fakes.save(root / "photos" / f"{name}.png", picture)
        fakes.save(root / "masks" / f"{name}.png", mask)
    return root
