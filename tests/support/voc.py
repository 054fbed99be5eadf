"""PASCAL VOC2012 and SBD in miniature: forty sizes, palette masks with void, and MATLAB's."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from support import mixed

FRAMES = tuple(f"2008_{number:06d}" for number in range(40))
TRAIN, VAL = FRAMES[:24], FRAMES[24:]
# SBD trains on frames of both lists
SBD_TRAIN = FRAMES[4:16] + FRAMES[24:30]
IDS = (0, 5, 255, 20)


def make(root: Path, sbd: bool = True) -> Path:
    """Writes ROOT/VOCdevkit/VOC2012 and, beside it, ROOT/benchmark_RELEASE."""
    place, extra = root / "VOCdevkit" / "VOC2012", root / "benchmark_RELEASE" / "dataset"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (place / folder).mkdir(parents=True)
    for name, size in zip(FRAMES, mixed.SIZES, strict=True):
        picture, mask = mixed.draw(name, size, IDS)
        Image.fromarray(picture).save(place / "JPEGImages" / f"{name}.jpg", quality=95)
        image = Image.fromarray(mask)
        image.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
        image.save(place / "SegmentationClass" / f"{name}.png")
    for split, names in (("train", TRAIN), ("val", VAL)):
        (place / "ImageSets/Segmentation" / f"{split}.txt").write_text("\n".join(names) + "\n")
    if sbd:
        for folder in ("cls", "img"):
            (extra / folder).mkdir(parents=True)
        for name in SBD_TRAIN:
            write_mat(extra / "cls" / f"{name}.mat", sbd_mask(name))
        (extra / "train.txt").write_text("\n".join(SBD_TRAIN) + "\n")
    return root


def sbd_mask(name: str) -> mixed.Pixels:
    """SBD's own mask of a frame, which has no void and is another than VOC's."""
    return mixed.draw(name, mixed.SIZES[FRAMES.index(name)], (0, 5, 7))[1]


def write_mat(path: Path, mask: mixed.Pixels) -> None:
    """Writes a mask as SBD does: a struct with boundaries beside it."""
    boundaries = np.empty((20, 1), object)
    for number in range(20):
        boundaries[number, 0] = np.zeros(mask.shape, np.uint8)
    present = np.unique(mask)[1:, None].astype(np.uint8)
    parts = {"Boundaries": boundaries, "Segmentation": mask, "CategoriesPresent": present}
    savemat(path, {"GTcls": parts}, do_compression=True)
