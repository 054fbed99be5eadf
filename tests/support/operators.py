"""Every upsampling operator, and switches for it to look at."""

import torch
import torch.nn.functional as F
from torch import Tensor

from fcn_lab import upsampling
from fcn_lab.upsampling import Upsampling

OPERATORS = [
    found
    for name in upsampling.__all__
    if isinstance(found := getattr(upsampling, name), type)
    and issubclass(found, Upsampling)
    and found is not Upsampling
]


def switches_of(finest: Tensor, levels: int) -> list[Tensor]:
    """The pooling positions of `levels` max pools of `finest`, fine first."""
    found = []
    for _ in range(levels):
        finest, indices = F.max_pool2d(finest, 2, return_indices=True)
        found.append(indices)
    return found


def random_switches(x: Tensor, factor: int, channels: int) -> list[Tensor]:
    n, _, h, w = x.shape
    finest = torch.randn(
        n, channels, h * factor, w * factor, generator=torch.Generator().manual_seed(1)
    )
    return switches_of(finest, factor.bit_length() - 1)
