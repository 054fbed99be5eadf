"""DySample: bilinear interpolation at places that the content shifts."""

from collections.abc import Sequence
from math import gcd

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fcn_lab.upsampling.base import Upsampling, require_divisor
from fcn_lab.values import Count, Width, check_arguments


class PointSampling(nn.Module):
    """Predicts where each output pixel reads its input, for each group of channels."""

    def __init__(self, channels: int, stride: int, groups: int, dynamic_scope: bool) -> None:
        super().__init__()
        self.stride, self.groups = stride, groups
        self.offset = nn.Conv2d(channels, 2 * groups * stride**2, 1)
        nn.init.normal_(self.offset.weight, std=0.001)
        nn.init.zeros_(self.offset.bias)  # type: ignore[arg-type]
        self.scope = None
        if dynamic_scope:
            self.scope = nn.Conv2d(channels, 2 * groups * stride**2, 1, bias=False)
            nn.init.zeros_(self.scope.weight)

    def forward(self, x: Tensor, switches: Sequence[Tensor] = ()) -> Tensor:
        """Maps (N, C, h, w) -> (N, C, h·stride, w·stride)."""
        n, c, h, w = x.shape
        height, width, groups = h * self.stride, w * self.stride, self.groups
        # in input pixels: across, down
        shift = self.shifts(x).reshape(n * groups, 2, height, width)
        offsets = shift.to(torch.promote_types(x.dtype, torch.float32))
        xs = torch.arange(width, device=x.device) + 0.5 + self.stride * offsets[:, 0]
        ys = torch.arange(height, device=x.device).unsqueeze(1) + 0.5 + self.stride * offsets[:, 1]
        grid = torch.stack([2 * xs / width - 1, 2 * ys / height - 1], -1)  # −1…1 edge to edge
        parts = x.reshape(n * groups, c // groups, h, w).to(grid.dtype)
        samples = F.grid_sample(parts, grid, "bilinear", "border", align_corners=False)
        return samples.view(n, c, height, width)

    def shifts(self, x: Tensor) -> Tensor:
        """Maps (N, C, h, w) -> shifts (N, 2·groups, h·stride, w·stride), in input pixels."""
        reach = 0.25 if self.scope is None else 0.5 * self.scope(x).sigmoid()
        return F.pixel_shuffle(reach * self.offset(x), self.stride)


@check_arguments
class DySample(Upsampling):
    """Every output pixel reads its input bilinearly, at its own place plus a predicted shift.

    out = sample(x, grid + shuffle(reach · linear(x))): Liu, Lu, Fu, Cao, "Learning to Upsample by
    Learning to Sample", 2023, in the order "linear, then pixel shuffle". The reach is 1/4, or with
    the dynamic scope 1/2 · sigmoid(linear₂(x)), 1/4 at the start. Shifts begin near 0, where it is
    ``Bilinear``. On a GPU the backward of the sampling adds in no fixed order.

    Args:
        channels: C.
        factor: the scale.
        refine: see ``Upsampling``.
        groups: groups of channels, each with shifts of its own; null is the largest divisor of the
            paper's 4 that divides C.
        dynamic_scope: the paper's DySample+.

    Raises:
        UserError: the groups do not divide C.
    """

    deterministic = False
    deterministic_word = "carafe"

    def __init__(
        self,
        channels: Width,
        factor: int,
        refine: str = "none",
        groups: Count | None = None,
        dynamic_scope: bool = False,
    ) -> None:
        self.groups = gcd(4, channels) if groups is None else groups
        self.dynamic_scope = dynamic_scope
        require_divisor(self.groups, channels)
        super().__init__(channels, factor, refine)

    def step(self, stride: int) -> nn.Module:
        """Returns the layer that predicts shifts and samples the input bilinearly."""
        return PointSampling(self.channels, stride, self.groups, self.dynamic_scope)
