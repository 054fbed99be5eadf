"""CamVid releases in miniature: every layout, with pictures drawn from the frame's name."""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fcn_lab.data.classes import CAMVID32

SIZE = (24, 32)
SPLITS: dict[str, tuple[str, ...]] = {
    "train": ("0001TP_006690", "0006R0_f00930", "0016E5_00390"),
    "val": ("0016E5_07959", "0016E5_08159"),
    "test": ("0001TP_008550", "Seq05VD_f00000"),
}
NAMES = tuple(sorted(name for split in SPLITS.values() for name in split))
COLOURS = np.array(list(CAMVID32.values()), np.uint8)


def picture(name: str, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """The frame's picture (H,W,3)."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return rng.integers(0, 256, (*size, 3), np.uint8)


def ids(name: str, classes: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """The frame's label (H,W), 0..classes-1."""
    rng = np.random.default_rng(zlib.crc32(name.encode()) + 1)
    return rng.integers(0, classes, size, np.uint8)


def save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def segnet(
    root: Path, splits: Mapping[str, Sequence[str]] = SPLITS, size: tuple[int, int] = SIZE
) -> Path:
    for split, names in splits.items():
        for name in names:
            save(root / split / f"{name}.png", picture(name, size))
            save(root / f"{split}annot" / f"{name}.png", ids(name, 12, size))
        lines = [
            f"/SegNet/CamVid/{split}/{n}.png /SegNet/CamVid/{split}annot/{n}.png" for n in names
        ]
        (root / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return root


def kaggle(root: Path, size: tuple[int, int] = SIZE) -> Path:
    for split, names in SPLITS.items():
        for name in names:
            save(root / split / f"{name}.png", picture(name, size))
            save(root / f"{split}_labels" / f"{name}_L.png", COLOURS[ids(name, 32, size)])
    rows = [f"{name},{r}, {g}, {b}" for name, (r, g, b) in CAMVID32.items()]
    (root / "class_dict.csv").write_text("\n".join(["name,r,g,b", *rows]) + "\n")
    return root


def fastai(root: Path, size: tuple[int, int] = SIZE, valid: Sequence[str] = SPLITS["val"]) -> Path:
    for name in NAMES:
        save(root / "images" / f"{name}.png", picture(name, size))
        save(root / "labels" / f"{name}_P.png", ids(name, 32, size))
    (root / "codes.txt").write_text("\n".join(CAMVID32) + "\n")
    (root / "valid.txt").write_text("".join(f"{name}.png\n" for name in valid))
    return root


def cambridge(root: Path, size: tuple[int, int] = SIZE) -> Path:
    for name in NAMES:
        save(root / "701_StillsRaw_full" / f"{name}.png", picture(name, size))
        save(root / "LabeledApproved_full" / f"{name}_L.png", COLOURS[ids(name, 32, size)])
    rows = [f"{r} {g} {b}\t\t{name}" for name, (r, g, b) in CAMVID32.items()]
    (root / "label_colors.txt").write_text("\n".join(rows) + "\n")
    return root
