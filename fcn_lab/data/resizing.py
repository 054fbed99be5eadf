"""Brings a frame to one size: by stretching it, by fitting it in with void around, or by filling.

H W: rows and columns of a frame, h w: those that are asked for, C: channels of its picture.
"""

from typing import Literal

import cv2
import numpy as np

from fcn_lab.pixels import VOID, Pixels

Frame = tuple[Pixels, Pixels]
Resize = Literal["fit", "fill", "stretch"]
# the most channels that OpenCV resizes
OPENCV_CHANNELS = 4
# the colour of what is added around a frame
IMAGENET_MEAN = (124, 116, 104)


def resize_frame(image: Pixels, label: Pixels, size: tuple[int, int], resize: Resize) -> Frame:
    """Returns picture (h,w,C) and label (h,w) of a frame (H,W).

    Args:
        image: the picture, (H,W,C).
        label: its ids, (H,W).
        size: (h,w).
        resize: "stretch" changes the shape; "fit" keeps it and sets the frame into the middle of
            the mean colour, labelled void; "fill" keeps it and cuts off what hangs over.
    """
    target = choose_target(image.shape[:2], size, resize)
    image, label = resize_image(image, target), resize_label(label, target)
    return (image, label) if target == size else _pad_to_centre(image, label, size)


def choose_target(shape: tuple[int, ...], size: tuple[int, int], resize: Resize) -> tuple[int, int]:
    """Returns the size that a frame (H,W) is resized to, before anything is added or cut off."""
    return size if resize == "stretch" else scale_size(shape, size, resize == "fill")


def scale_size(shape: tuple[int, ...], size: tuple[int, int], covers: bool) -> tuple[int, int]:
    """Returns the size of a frame (H,W), its shape kept, that lies within (h,w) or covers it.

    One of its sides is exactly the size's.
    """
    (rows, columns), (height, width) = shape, size
    if (height * columns <= width * rows) is not covers:
        return height, max(1, round(columns * height / rows))
    return max(1, round(rows * width / columns)), width


def choose_filling(channels: int) -> tuple[int, ...]:
    """Returns the value around a picture for each channel: the mean colour, its grey for others."""
    colour = IMAGENET_MEAN if channels >= len(IMAGENET_MEAN) else ()
    grey = round(sum(IMAGENET_MEAN) / len(IMAGENET_MEAN))
    return (*colour, *[grey] * (channels - len(colour)))


def resize_image(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Resizes (H,W,C) to (h,w,C) by area average along what shrinks, linearly along what grows."""
    rows, columns = image.shape[:2]
    image = _resample(image, (min(rows, size[0]), min(columns, size[1])), cv2.INTER_AREA)
    return _resample(image, size, cv2.INTER_LINEAR)


def resize_label(label: Pixels, size: tuple[int, int]) -> Pixels:
    """Resizes (H,W) to (h,w) by the nearest pixel, so that no class is invented."""
    if label.shape == size:
        return label
    return np.asarray(
        cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.uint8
    )


def _resample(image: Pixels, size: tuple[int, int], method: int) -> Pixels:
    if image.shape[:2] == size:
        return image
    groups = [
        image[..., k : k + OPENCV_CHANNELS] for k in range(0, image.shape[2], OPENCV_CHANNELS)
    ]
    parts = [cv2.resize(group, size[::-1], interpolation=method) for group in groups]
    # OpenCV drops the axis of a single channel
    return np.concatenate([part.reshape(*size, -1) for part in parts], 2, dtype=np.uint8)


def _pad_to_centre(image: Pixels, label: Pixels, size: tuple[int, int]) -> Frame:
    """Returns the frame in the middle of (h,w), which is smaller or larger on one of its sides."""
    colour = choose_filling(image.shape[2])
    canvases = np.full((*size, len(colour)), colour, np.uint8), np.full(size, VOID, np.uint8)
    # for each axis: the part of the frame that is kept, and where it is put
    sources, targets = [], []
    for target_side, source_side in zip(size, label.shape, strict=True):
        length = min(target_side, source_side)
        sources.append(slice((source_side - length) // 2, (source_side - length) // 2 + length))
        targets.append(slice((target_side - length) // 2, (target_side - length) // 2 + length))
    for canvas, part in zip(canvases, (image, label), strict=True):
        canvas[targets[0], targets[1]] = part[sources[0], sources[1]]
    return canvases
