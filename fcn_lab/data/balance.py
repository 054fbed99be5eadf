"""Class weights from how often a class is seen. K classes."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Le
from numpy.typing import NDArray
from torch import Tensor

from fcn_lab.data.frames import Frames
from fcn_lab.values import checked


def pixel_counts(frames: Frames, num_classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels of every class, and all pixels of the images that show it; (K,) and (K,)."""
    counts = np.zeros(num_classes, np.int64)
    shown = np.zeros(num_classes, np.int64)
    for label in frames.labels:
        found = np.bincount(label.ravel(), minlength=256)[:num_classes]
        counts += found
        shown += np.where(found > 0, label.size, 0)
    return counts, shown


@checked
@dataclass(frozen=True)
class MedianFrequency:
    """Weights ``(median(f) / f) ** power``, f = pixels of a class / pixels of images showing it.

    Eigen and Fergus 2015, as SegNet uses it; ``power=0.5`` is its milder square root. A class that
    is never seen neither enters the median nor gets a weight: 0.
    """

    power: Annotated[float, Ge(0), Le(10)] = 1.0

    def __call__(self, counts: Tensor, shown: Tensor) -> Tensor:
        """Float64 weights (K,) from the two results of ``pixel_counts`` as tensors."""
        seen = counts > 0
        frequency = counts[seen].double() / shown[seen]
        weights = torch.zeros(len(counts), dtype=torch.float64, device=counts.device)
        # quantile, since torch's median of an even number takes the lower of the middle two
        weights[seen] = (frequency.quantile(0.5) / frequency) ** self.power
        return weights
