"""Convolutions that stay in float32 under a CPU's bf16.

Scores of very many channels, as VGG-16's, have to: on a CPU with AMX, their gradient in bf16, of
3,072 channels or more for 11 classes, writes beyond its memory and ends the process (torch 2.15;
of 2,048 channels, for 16 classes or in one thread it does not).
"""

import torch
from torch import Tensor, nn

# the scores of so many channels have safe gradients in bf16 on every CPU
SAFE_CHANNELS = 2048


class Float32Conv2d(nn.Conv2d):
    """A convolution that a CPU's autocast leaves in float32."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the convolved (N, C, H', W'), of the same type."""
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(x.dtype)


def build_score(channels: int, num_classes: int) -> nn.Conv2d:
    """Returns a 1×1 convolution to K scores."""
    kind = Float32Conv2d if channels > SAFE_CHANNELS else nn.Conv2d
    return kind(channels, num_classes, 1)
