"""Pads and cuts maps, and counts the channels of pictures."""

import torch.nn.functional as F
from torch import Tensor, nn


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Pads zeros to the right and below up to a multiple m: H -> ⌈H/m⌉·m, W -> ⌈W/m⌉·m."""
    height, width = x.shape[-2:]
    return F.pad(x, (0, -width % multiple, 0, -height % multiple))


def crop_to(x: Tensor, reference: Tensor, offset: int = 0) -> Tensor:
    """Returns the part of x with the reference's height and width, `offset` from the upper left."""
    height, width = reference.shape[-2:]
    return x[..., offset : offset + height, offset : offset + width]


def count_channels(net: nn.Module) -> int:
    """Returns the channels of the pictures that a network takes, as its encoder says; else 3."""
    channel_counts = (getattr(part, "image_channels", None) for part in net.modules())
    return next((int(channels) for channels in channel_counts if channels is not None), 3)
