"""The frames that a data source returns, and the data set over them.

M frames, H W rows and columns, K classes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from fcn_lab.data.seeds import seed_of

Pixels = NDArray[np.uint8]
Augment = Callable[[Pixels, Pixels, int], tuple[Pixels, Pixels]]


@dataclass(frozen=True)
class Frames:
    """The decoded frames of one split.

    Attributes:
        images: (M,H,W,3) RGB, possibly a memory map.
        labels: (M,H,W), 0..K-1 or VOID.
        names: M frame names.
        drives: M names of the drives the frames are from, or none where drives are not known.
    """

    images: Pixels
    labels: Pixels
    names: tuple[str, ...]
    drives: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)


class Sample(TypedDict):
    """One item of FrameDataset: image (3,h,w) uint8, label (h,w) uint8, index of the frame."""

    image: torch.Tensor
    label: torch.Tensor
    index: int


class FrameDataset(Dataset[Sample]):
    """A data set of frames whose augmentation draws from (seed, epoch, index) alone.

    The epoch travels with the index, ``dataset[epoch, index]``, as TrainSampler yields it: no state
    has to reach worker processes, so that workers, ranks, order and resumption cannot change a
    draw. ``dataset[index]`` is epoch 0.
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
            image=torch.from_numpy(np.array(image.transpose(2, 0, 1))),  # H W 3 -> 3 H W
            label=torch.from_numpy(np.array(label)),
            index=index,
        )
