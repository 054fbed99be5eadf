"""Operators without a kernel: each value at one place of its cell, zeros elsewhere."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fcn_lab.errors import UserError
from fcn_lab.upsampling.base import Upsampling


class PlaceAtCorner(nn.Module):
    """Places each value at the upper left of its stride×stride cell, zeros elsewhere."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor, switches: Sequence[Tensor] = ()) -> Tensor:
        """Maps (N, C, h, w) -> (N, C, h·stride, w·stride)."""
        n, c, h, w = x.shape
        cells = x.new_zeros(n, c, h, self.stride, w, self.stride)
        cells[:, :, :, 0, :, 0] = x
        return cells.view(n, c, h * self.stride, w * self.stride)


class PlaceAtSwitches(nn.Module):
    """Places each value where a 2×2 max-pooling of a map of even sides found its maximum."""

    def forward(self, x: Tensor, switches: Sequence[Tensor] = ()) -> Tensor:
        """Maps (N, C, h, w) and L levels of switches, coarse first -> (N, C, h·2^L, w·2^L)."""
        for indices in switches:
            h, w = x.shape[-2:]
            if indices.shape[-2:] != (h, w):
                raise UserError(
                    f"switches of {tuple(indices.shape[-2:])} for scores of {(h, w)}: "
                    "sizes must agree, level by level, coarse first"
                )
            # rows are 2·w long, which is even
            row, column = indices // (2 * w) % 2, indices % 2
            # upper left, upper right, lower left, lower right
            corner = torch.arange(4, device=x.device).view(4, 1, 1)
            one_hot = (2 * row + column).unsqueeze(2) == corner  # (N, 1 or C, 4, h, w)
            x = F.pixel_shuffle((x.unsqueeze(2) * one_hot).flatten(1, 2), 2)  # (N, C, 2h, 2w)
        return x


class BedOfNails(Upsampling):
    """Places each value at its cell's corner, zeros elsewhere."""

    sparse = True

    def step(self, stride: int) -> nn.Module:
        """Returns the layer that places values at the corners of stride×stride cells."""
        return PlaceAtCorner(stride)


class MaxUnpool(Upsampling):
    """Places each value where the encoder's pooling found its maximum, level by level.

    Zeiler, Fergus 2014; Noh, Hong, Han 2015; Badrinarayanan, Kendall, Cipolla (SegNet) 2017. Equal
    to ``torch.nn.functional.max_unpool2d`` for switches of a map of even sides, also with one
    channel of switches for all classes, and exportable.
    """

    uses_switches = True
    sparse = True

    def step(self, stride: int) -> nn.Module:
        """Returns the layer that places values at the switches of each level."""
        return PlaceAtSwitches()
