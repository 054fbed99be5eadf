"""Operators with a kernel: every value at its cell's corner, then a box, a triangle, or learned."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fcn_lab.errors import UserError
from fcn_lab.upsampling.base import Upsampling


def bilinear_kernel(factor: int) -> Tensor:
    """The 2f×2f triangle kernel of bilinear interpolation by f, for even f.

    Long, Shelhamer, Darrell 2015, section 3.3; with centre c = f − 1/2: (1 − |i − c|/f) (1 − |j −
    c|/f).
    """
    line = 1 - (torch.arange(2 * factor) - (factor - 0.5)).abs() / factor
    return torch.outer(line, line)


class Interpolate(nn.Module):
    """Fixed interpolation by one of ``torch.nn.functional.interpolate``'s kernels."""

    def __init__(self, stride: int, **options: object) -> None:
        super().__init__()
        self.stride, self.options = stride, options

    def forward(self, x: Tensor, switches: Sequence[Tensor] = ()) -> Tensor:
        """(N, C, h, w) -> (N, C, h·stride, w·stride)."""
        return F.interpolate(x, scale_factor=self.stride, **self.options)  # type: ignore[arg-type]


class Nearest(Upsampling):
    """Every value fills its f×f cell: corner placement, box kernel."""

    def step(self, stride: int) -> nn.Module:
        """Box interpolation."""
        return Interpolate(stride, mode="nearest")


class Bilinear(Upsampling):
    """Linear interpolation between cell centres: corner, triangle kernel, edges repeated."""

    def step(self, stride: int) -> nn.Module:
        """Triangle interpolation."""
        return Interpolate(stride, mode="bilinear", align_corners=False)


class Deconvolution(nn.ConvTranspose2d):
    """A transposed convolution that can stand in an operator's climb."""

    def forward(  # type: ignore[override]
        self, x: Tensor, switches: Sequence[Tensor] = ()
    ) -> Tensor:
        """(N, C, h, w) -> (N, C, h·stride, w·stride)."""
        return super().forward(x)


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
        channels: int,
        factor: int,
        refine: str = "none",
        groups: int | None = None,
        trainable: bool = True,
    ) -> None:
        self.groups, self.trainable = channels if groups is None else groups, trainable
        if self.groups < 1 or channels % self.groups:
            raise UserError(
                f"upsample.groups={groups}: expected a divisor of the {channels} channels"
            )
        super().__init__(channels, factor, refine)

    def step(self, stride: int) -> nn.Module:
        """A transposed convolution of ×stride: out = (in − 1)·f − 2·(f/2) + 2f = in·f."""
        conv = Deconvolution(
            self.channels,
            self.channels,
            2 * stride,
            stride,
            stride // 2,
            groups=self.groups,
            bias=False,
        )
        within = self.channels // self.groups  # weight is (C, C/groups, 2f, 2f)
        with torch.no_grad():
            conv.weight.zero_()
            conv.weight[range(self.channels), [c % within for c in range(self.channels)]] = (
                bilinear_kernel(stride)
            )
        return conv.requires_grad_(self.trainable)


class UpConv(Upsampling):
    """U-Net's up-convolution: kernel = stride = f, dense, no overlap between neighbouring cells.

    Ronneberger, Fischer, Brox, "U-Net", 2015, section 2 (there f = 2). Starts as ``Nearest``.
    """

    def step(self, stride: int) -> nn.Module:
        """Corner placement and a learned f×f kernel between all channels."""
        conv = Deconvolution(self.channels, self.channels, stride, stride, bias=False)
        with torch.no_grad():
            conv.weight.mul_(0.1)
            conv.weight[range(self.channels), range(self.channels)] = 1
        return conv
