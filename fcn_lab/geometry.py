"""Sizes: pad once at the entrance, crop once at the exit; every step between is exact."""

import torch.nn.functional as F
from torch import Tensor


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Zeros to the right and below, up to the next multiple m: H -> ⌈H/m⌉·m, W -> ⌈W/m⌉·m."""
    height, width = x.shape[-2:]
    return F.pad(x, (0, -width % multiple, 0, -height % multiple))


def crop_to(x: Tensor, reference: Tensor) -> Tensor:
    """The upper left part of x that has the reference's height and width."""
    height, width = reference.shape[-2:]
    return x[..., :height, :width]
