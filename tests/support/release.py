"""Drawn scenes as a SegNet release, for the audit."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fcn_lab.data.synthetic import Synthetic
from fcn_lab.pixels import VOID
from support import fakes

Pixels = NDArray[np.uint8]
SIZE = (48, 64)
COUNTS = {"train": 6, "val": 2, "test": 3}
DRIVES = {"train": "0016E5_{:05d}", "val": "0006R0_f{:05d}", "test": "Seq05VD_f{:05d}"}


def frame_name(split: str, number: int) -> str:
    return DRIVES[split].format(30 * number)


def as_drawn(label: Pixels) -> Pixels:
    return np.where(label == VOID, 11, label).astype(np.uint8)


def write_release(root: Path, scenes: Synthetic, change: Callable[[Pixels], Pixels]) -> Path:
    """Writes the release, its labels changed."""
    for split in COUNTS:
        frames = scenes.frames(split)
        for number, (image, label) in enumerate(zip(frames.images, frames.labels, strict=True)):
            stored = change(label)
            size = stored.shape[1::-1]
            fakes.save(root / split / f"{frame_name(split, number)}.png", cv2.resize(image, size))
            fakes.save(root / f"{split}annot" / f"{frame_name(split, number)}.png", stored)
    return root
