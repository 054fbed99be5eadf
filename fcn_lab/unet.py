"""U-Net: an encoder, and a decoder that takes in the map of every level on its way back up."""

import torch
from torch import Tensor, nn

from fcn_lab.encoders.base import LEVELS, STRIDE, Encoder, conv_bn_relu
from fcn_lab.fcn import UpsamplingFactory, upsampled
from fcn_lab.geometry import crop_to, pad_to_multiple
from fcn_lab.upsampling import Upsampling


class UNet(nn.Module):
    """The padded U-Net over any encoder (Ronneberger, Fischer, Brox, "U-Net", 2015).

    Each of the five steps halves the channels by a 1×1 convolution, climbs ×2 by the operator,
    joins the encoder's map of that stride and mixes them by two 3×3 convolutions.
    ``upsample=up_conv`` is the paper's 2×2 up-convolution.

    Args:
        encoder: where the maps and the head come from.
        upsample: builds an operator from (channels, factor).
        num_classes: K.
        width: channels of the finest step; they double downwards up to the encoder's own.
    """

    def __init__(
        self, encoder: Encoder, upsample: UpsamplingFactory, num_classes: int, width: int = 32
    ) -> None:
        super().__init__()
        self.encoder = encoder
        widths = [min(width << i, channels) for i, channels in enumerate(encoder.channels)]
        coarser = [*widths[1:], encoder.head_channels]
        self.reduce = nn.ModuleList(nn.Conv2d(coarser[i], widths[i], 1) for i in range(LEVELS))
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
        """RGB in 0…1 (N, 3, H, W) -> scores (N, K, H, W), for any H, W ≥ 1."""
        features = self.encoder(pad_to_multiple(self.encoder.normalize(x), STRIDE))
        y = features.head  # (N, C, /32)
        for i in reversed(range(LEVELS)):
            climb: Upsampling = self.climb[i]  # type: ignore[assignment]
            y = upsampled(climb, self.reduce[i](y), features, [i + 1])
            y = self.mix[i](torch.cat([y, features.maps[i]], dim=1))  # (N, widths[i], /2^i)
        return crop_to(self.score(y), x)
