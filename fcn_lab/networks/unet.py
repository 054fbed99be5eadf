"""U-Net: an encoder, and a decoder that takes in the map of every level on its way back up."""

from functools import partial
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor, nn

from fcn_lab.encoders.base import LEVELS, STRIDE, Encoder, Normalize, conv_bn_relu
from fcn_lab.encoders.caffe_vgg import FirstWidth
from fcn_lab.geometry import crop_to, pad_to_multiple
from fcn_lab.networks.fcn import UpsamplingFactory, climb_levels, raise_precision
from fcn_lab.values import Share, Width, check_arguments


@check_arguments
class UNet(nn.Module):
    """The padded U-Net over any encoder (Ronneberger, Fischer, Brox, "U-Net", 2015).

    Each of the five steps brings the channels to its width by a 1×1 convolution, climbs ×2 by the
    operator, joins the encoder's map of that stride and mixes them by two 3×3 convolutions.
    ``upsample=up_conv`` is the paper's 2×2 up-convolution.

    Args:
        encoder: computes the maps and the head.
        upsample: builds an operator from (channels, factor).
        num_classes: K.
        width: channels of the finest step; they double downwards up to the encoder's own.
        skips: False keeps every layer but joins zeros in place of the encoder's maps.
    """

    # the factor of the last climb
    stride = 2

    def __init__(
        self,
        encoder: Encoder,
        upsample: UpsamplingFactory,
        num_classes: Width,
        width: Width = 32,
        skips: bool = True,
    ) -> None:
        super().__init__()
        self.encoder, self.skips = encoder, skips
        widths = [min(width << i, channels) for i, channels in enumerate(encoder.channels)]
        input_widths = [*widths[1:], encoder.head_channels]
        self.reduce = nn.ModuleList(nn.Conv2d(input_widths[i], widths[i], 1) for i in range(LEVELS))
        self.climb = nn.ModuleList(upsample(widths[i], 2) for i in range(LEVELS))
        self.mix = nn.ModuleList(
            nn.Sequential(
                conv_bn_relu(widths[i] + encoder.map_channels[i], widths[i]),
                conv_bn_relu(widths[i], widths[i]),
            )
            for i in range(LEVELS)
        )
        self.score = nn.Conv2d(widths[0], num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps RGB in 0…1 (N, 3, H, W) to scores (N, K, H, W), for any H, W ≥ 1."""
        features = self.encoder(pad_to_multiple(self.encoder.normalize(x), STRIDE))
        y = features.head  # (N, C, /32)
        for i in reversed(range(LEVELS)):
            y = climb_levels(self.climb[i], self.reduce[i](y), features.switches, [i + 1])
            skip = features.maps[i] if self.skips else torch.zeros_like(features.maps[i])
            y = self.mix[i](torch.cat([y, skip], dim=1))  # (N, widths[i], /2^i)
        return raise_precision(crop_to(self.score(y), x))


@check_arguments
class ValidUNet(nn.Module):
    """U-Net as its paper draws it (figure 1): valid convolutions, and skips cropped to fit.

    Four times two 3×3 convolutions with ReLU and a 2×2 pool, two convolutions at the bottom, and
    four times back: ×2 by the operator, the centre of the encoder's map of that stride, two
    convolutions. b pixels at the bottom need 16·b + 60 of the image and give scores for
    16·b − 124 of them: 572 → 388 for b = 32. Images are mirrored at their borders so that all of
    their pixels are scored. The paper's up-convolution from 2C to C channels is a 1×1 convolution
    and ``upsample=up_conv``; switches are per channel, of the map cropped.

    Args:
        upsample: builds an operator from (channels, factor).
        num_classes: K.
        width: channels of the finest maps; they double downwards. 64 in the paper.
        levels: pools; 4 in the paper.
        dropout: probability at the bottom.
    """

    # the factor of the last climb
    stride = 2

    def __init__(
        self,
        upsample: UpsamplingFactory,
        num_classes: Width,
        width: FirstWidth = 64,
        levels: Annotated[int, Ge(1), Le(6)] = 4,
        dropout: Share = 0.5,
    ) -> None:
        super().__init__()
        self.normalize = Normalize()
        widths = [width << level for level in range(levels + 1)]
        self.encoder = nn.ModuleList(map(build_two_valid_convs, [3, *widths[:-1]], widths))
        self.dropout = nn.Dropout(dropout)
        self.reduce = nn.ModuleList(nn.Conv2d(2 * w, w, 1) for w in widths[:-1])
        self.climb = nn.ModuleList(upsample(w, 2) for w in widths[:-1])
        self.mix = nn.ModuleList(build_two_valid_convs(2 * w, w) for w in widths[:-1])
        self.score = nn.Conv2d(width, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps RGB in 0…1 (N, 3, H, W) to scores (N, K, H, W), for any H, W ≥ 1."""
        levels = len(self.climb)
        cell = 2**levels
        # image pixels before the first that is scored
        front = 6 * cell - 4
        image = self.normalize(x)
        for axis in (2, 3):
            bottom = (x.shape[axis] + 9 * cell - 5) // cell  # ⌈(size + 8·cell − 4)/cell⌉
            back = cell * bottom + 4 * (cell - 1) - front - x.shape[axis]
            image = mirror_border(image, axis, front, back)
        return raise_precision(crop_to(self.score_centre(image), x))

    def score_centre(self, x: Tensor) -> Tensor:
        """Maps normalised (N, 3, 16·b + 60, …) to scores of its centre, (N, K, 16·b − 124, …)."""
        maps = [self.encoder[0](x)]
        for encode in list(self.encoder)[1:]:
            maps.append(encode(F.max_pool2d(maps[-1], 2)))
        y = self.dropout(maps.pop())
        for i in reversed(range(len(self.climb))):
            h, w = y.shape[-2:]
            skip = crop_centre(maps[i], 2 * h, 2 * w)
            y = climb_levels(
                self.climb[i], self.reduce[i](y), partial(pool_switches, skip), [i + 1]
            )
            y = self.mix[i](torch.cat([skip, y], dim=1))
        scores: Tensor = self.score(y)
        return scores


def pool_switches(x: Tensor, level: int) -> Tensor:
    """Returns where a 2×2 max pool finds its maxima in the map of a level, channel by channel."""
    indices: Tensor = F.max_pool2d(x.detach(), 2, return_indices=True)[1]
    return indices


def build_two_valid_convs(inputs: int, outputs: int) -> nn.Sequential:
    """Returns two 3×3 convolutions with ReLU and no padding, initialised as He et al. do."""
    first, second = nn.Conv2d(inputs, outputs, 3), nn.Conv2d(outputs, outputs, 3)
    for conv in (first, second):
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True))


def crop_centre(x: Tensor, height: int, width: int) -> Tensor:
    """Returns the middle height×width of x."""
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]


def mirror_border(x: Tensor, axis: int, front: int, back: int) -> Tensor:
    """Returns x extended along an axis by reflection at both ends, repeatedly if needed."""
    size = x.shape[axis]
    # 1 where there is a single pixel
    period = 2 * size - 2 + 1 // size
    positions = torch.arange(-front, size + back, device=x.device)
    # in place of %, which cannot be exported for a free size
    positions = positions - positions // period * period
    return x.index_select(axis, torch.minimum(positions, period - positions))
