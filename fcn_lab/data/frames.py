"""The frames that a data source returns, and the data set over them.

M frames, H W rows and columns, C channels of a picture, K classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from fcn_lab.data.seeds import seed_of
from fcn_lab.pixels import VOID, Pixels
from fcn_lab.text.terminal import report_progress

PixelArrays = Pixels | Sequence[Pixels]
Augment = Callable[[Pixels, Pixels, int], tuple[Pixels, Pixels]]


@dataclass(frozen=True)
class Frames:
    """The decoded frames of one split.

    Attributes:
        images: (M,H,W,C), RGB and further channels, possibly a memory map; where frames keep their
            own sizes, M arrays (H,W,C).
        labels: (M,H,W), or M arrays (H,W), 0..K-1 or VOID.
        names: M frame names.
        drives: M names of the drives the frames are from, or none where drives are not known;
            a frame that stands alone is a drive of its own name.
        own_sizes: M (H,W) of frames that keep their own; none where all have one.
    """

    images: PixelArrays
    labels: PixelArrays
    names: tuple[str, ...]
    drives: tuple[str, ...] = ()
    own_sizes: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Returns (H,W) of every frame without reading a frame."""
        if self.own_sizes or not len(self):
            return self.own_sizes
        height, width = self.labels[0].shape
        return ((height, width),) * len(self)

    @property
    def has_one_size(self) -> bool:
        """Returns whether all frames are of one size."""
        return len(set(self.sizes)) <= 1

    @cached_property
    def label_counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the pixels of every value of the labels, (256,), and of the frames showing it."""
        counts, image_pixels = np.zeros((2, 256), np.int64)
        for label in report_progress(self.labels, len(self), "counting pixels"):
            histogram = np.bincount(label.ravel(), minlength=256)
            counts += histogram
            image_pixels += np.where(histogram > 0, label.size, 0)
        return counts, image_pixels

    @cached_property
    def has_labels(self) -> bool:
        """Returns whether any pixel is of a class."""
        return any((label != VOID).any() for label in self.labels)

    @cached_property
    def pixel_count(self) -> int:
        """Returns the pixels of all frames together."""
        return sum(height * width for height, width in self.sizes)


class Sample(TypedDict):
    """One item of FrameDataset: image (C,h,w) uint8, label (h,w) uint8, index of the frame."""

    image: torch.Tensor
    label: torch.Tensor
    index: int


class FrameDataset(Dataset[Sample]):
    """A data set of frames whose augmentation draws from (seed, epoch, index) alone.

    The epoch comes with the index, ``dataset[epoch, index]``, as TrainSampler yields it. No state
    has to reach worker processes, and workers, ranks, order and resumption cannot change a draw.
    ``dataset[index]`` is epoch 0.
    """

    def __init__(self, frames: Frames, augment: Augment, seed: int = 0) -> None:
        self.frames = frames
        self.augment = augment
        self.seed = seed

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, item: int | tuple[int, int]) -> Sample:
        epoch, index = item if isinstance(item, tuple) else (0, item)
        draw = seed_of(self.seed, epoch, index)
        image, label = self.augment(self.frames.images[index], self.frames.labels[index], draw)
        return Sample(
            image=torch.from_numpy(np.array(image.transpose(2, 0, 1))),  # H W C -> C H W
            label=torch.from_numpy(np.array(label)),
            index=index,
        )
