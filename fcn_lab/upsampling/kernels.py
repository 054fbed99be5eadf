"""Operators with a learned kernel, which spreads every value from its cell's corner."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fcn_lab.upsampling.base import Upsampling, dirac_kernel, require_divisor
from fcn_lab.upsampling.interpolation import bilinear_kernel
from fcn_lab.values import Count, Width, check_arguments


class Deconvolution(nn.ConvTranspose2d):
    """A transposed convolution with the signature of an operator's step."""

    def forward(  # type: ignore[override]
        self, x: Tensor, switches: Sequence[Tensor] = ()
    ) -> Tensor:
        """Maps (N, C, h, w) -> (N, C, h·stride, w·stride)."""
        return super().forward(x)


@check_arguments
class TransposedConv(Upsampling):
    """Learned interpolation: kernel 2f, stride f, padding f/2, bilinear at the start.

    Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", 2015,
    section 3.3. Beyond the image there are zeros, as in the paper, so at the start it equals
    ``Bilinear`` but for the outermost f/2 pixels.

    Args:
        channels: C.
        factor: the scale.
        refine: see ``Upsampling``.
        groups: 1 for a dense kernel, C for one kernel a class (the default).
        trainable: False freezes the bilinear start, as the published nets do.
    """

    def __init__(
        self,
        channels: Width,
        factor: int,
        refine: str = "none",
        groups: Count | None = None,
        trainable: bool = True,
    ) -> None:
        self.groups, self.trainable = channels if groups is None else groups, trainable
        require_divisor(self.groups, channels)
        super().__init__(channels, factor, refine)

    def step(self, stride: int) -> nn.Module:
        """Returns a transposed convolution of ×stride: (in − 1)·f − 2·(f/2) + 2f = in·f."""
        conv = Deconvolution(
            self.channels,
            self.channels,
            2 * stride,
            stride,
            stride // 2,
            groups=self.groups,
            bias=False,
        )
        group_width = self.channels // self.groups  # weight is (C, C/groups, 2f, 2f)
        with torch.no_grad():
            conv.weight.zero_()
            conv.weight[range(self.channels), [c % group_width for c in range(self.channels)]] = (
                bilinear_kernel(stride)
            )
        return conv.requires_grad_(self.trainable)


class UpConv(Upsampling):
    """U-Net's up-convolution: kernel = stride = f, dense, no overlap between neighbouring cells.

    Ronneberger, Fischer, Brox, "U-Net", 2015, section 2 (there f = 2). Starts as ``Nearest``
    but for a small random mixture of the channels.
    """

    def step(self, stride: int) -> nn.Module:
        """Returns a dense transposed convolution with kernel = stride, nearly ``Nearest``."""
        conv = Deconvolution(self.channels, self.channels, stride, stride, bias=False)
        with torch.no_grad():
            conv.weight.mul_(0.1)
            conv.weight[range(self.channels), range(self.channels)] = 1
        return conv


class SubPixel(nn.Module):
    """A convolution to f² maps for each channel, which then fill each f×f cell."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels * stride**2, 3, padding=1, bias=False)
        self.shuffle = nn.PixelShuffle(stride)
        with torch.no_grad():
            kernels = self.conv.weight[:: stride**2] * 0.1
            kernels[range(channels), range(channels)] = dirac_kernel(3)
            self.conv.weight.copy_(kernels.repeat_interleave(stride**2, 0))

    def forward(self, x: Tensor, switches: Sequence[Tensor] = ()) -> Tensor:
        """Maps (N, C, h, w) -> (N, C·stride², h, w) -> (N, C, h·stride, w·stride)."""
        output: Tensor = self.shuffle(self.conv(x))
        return output


class PixelShuffle(Upsampling):
    """Sub-pixel convolution: a 3×3 convolution C → C·f², whose f² maps a channel fill the cells.

    out[c, f·i + a, f·j + b] = conv(x)[c·f² + f·a + b, i, j]: Shi et al., "Real-Time Single Image
    and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network", 2016.
    All f² kernels of a channel begin alike (ICNR; Aitken et al., "Checkerboard artifact free
    sub-pixel convolution", 2017), so at the start it is ``Nearest`` behind a 3×3 convolution, here
    one that keeps each channel but for a small random mixture.
    """

    def step(self, stride: int) -> nn.Module:
        """Returns a 3×3 convolution to C·f² maps and their arrangement in the cells."""
        return SubPixel(self.channels, stride)
