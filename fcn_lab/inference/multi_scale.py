"""Scores one image at several sizes.

With the image brought to s times its size, and the probabilities brought back,

    p = 1/|S| · Σ_s back(softmax(net(resize(image, s)))),    score = log p,

so that a softmax gives p again, and what averages probabilities (`flip`) averages those of all
sizes. Chen et al., DeepLab, PAMI 2018, take the maximum over sizes in place of the mean.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le, Len
from torch import Tensor, nn

from fcn_lab.geometry import crop_to
from fcn_lab.values import check_arguments

# the largest denominator of a scale
LARGEST_DENOMINATOR = 100
Scales = Annotated[Sequence[Annotated[float, Ge(1 / LARGEST_DENOMINATOR), Le(8)]], Len(1)]


@check_arguments
class MultiScale(nn.Module):
    """A network whose probabilities are the mean over several sizes of the image.

    Each scale is the fraction p/q nearest to it, q ≤ 100. Where the image's sides are no multiples
    of q, its last row and column go on, so that every size is exact.

    Args:
        net: RGB in 0…1 (N, 3, H, W) -> scores (N, K, H, W).
        scales: sizes in units of the image's; 1 alone is the network itself, bit by bit.
    """

    def __init__(self, net: nn.Module, scales: Scales) -> None:
        super().__init__()
        self.net = net
        self.scales = tuple(
            Fraction(scale).limit_denominator(LARGEST_DENOMINATOR) for scale in scales
        )
        self.stride = getattr(net, "stride", None)

    def forward(self, x: Tensor) -> Tensor:
        """Maps RGB in 0…1 (N, 3, H, W) to scores (N, K, H, W), the logarithms of probabilities."""
        if self.scales == (Fraction(1),):
            scores: Tensor = self.net(x)
            return scores
        shares = self._compute_shares(x, self.scales[0])
        for scale in self.scales[1:]:
            shares += self._compute_shares(x, scale)
        return (shares / len(self.scales)).clamp_min(torch.finfo(shares.dtype).tiny).log()

    def receptive_radius(self, pixels: int) -> int:
        """Returns the radius that a score reads, where the network's own is `pixels`.

        A resize reads as far as its wider pixel: c -> c/s + 2·max(1, 1/s).
        """
        return max(
            pixels if s == 1 else ceil(pixels / s + 2 * max(Fraction(1), 1 / s))
            for s in self.scales
        )

    def _compute_shares(self, x: Tensor, scale: Fraction) -> Tensor:
        if scale == 1:
            return torch.softmax(self.net(x), 1)
        height, width = x.shape[-2:]
        cell = scale.denominator
        padded_x = F.pad(x, (0, -width % cell, 0, -height % cell), mode="replicate")
        shares = self.net(resize_by(padded_x, scale)).softmax(1)  # (N, K, sH, sW)
        return crop_to(resize_by(shares, 1 / scale), x)


def resize_by(x: Tensor, scale: Fraction) -> Tensor:
    """Maps (N, C, H, W) -> (N, C, scale·H, scale·W), both whole; bilinear, with antialiasing."""
    height, width = (int(size * scale) for size in x.shape[-2:])
    return F.interpolate(x, (height, width), mode="bilinear", antialias=True)
