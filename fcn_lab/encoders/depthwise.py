"""Depthwise convolutions that stay in float32 under a CPU's bf16, since those kernels are faster.

torch's bf16 kernels of a CPU take several times as long as those of float32 for the gradients of a
depthwise convolution with a stride of 2 or a 5×5 kernel, which is more than its forward pass gains.
"""

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution that a CPU's autocast leaves in float32; else an ordinary one."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the convolved (N, C, H', W'), of the same type."""
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(x.dtype)


class DepthwiseConv2dSame(DepthwiseConv2d, Conv2dSame):
    """A `DepthwiseConv2d` whose input is padded as TensorFlow pads."""


KINDS: dict[type, type] = {nn.Conv2d: DepthwiseConv2d, Conv2dSame: DepthwiseConv2dSame}


def keep_depthwise_float32(network: nn.Module) -> None:
    """Replaces the depthwise convolutions of a library's network by this module's, in place."""
    for layer in network.modules():
        is_depthwise = isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1
        if is_depthwise and type(layer) in KINDS:
            layer.__class__ = KINDS[type(layer)]
