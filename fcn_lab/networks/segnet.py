"""SegNet: decoders that mirror the encoder and unpool with its own switches, channel by channel."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import torch.nn.functional as F
from annotated_types import Ge, Le, Len
from torch import Tensor, nn

from fcn_lab.encoders.base import LEVELS, STRIDE, Encoder, Normalize, conv_bn_relu
from fcn_lab.geometry import crop_to, pad_to_multiple
from fcn_lab.networks.fcn import UpsamplingFactory, climb_levels, raise_precision
from fcn_lab.values import Depth, Width, check_arguments


@check_arguments
class SegNet(nn.Module):
    """Badrinarayanan, Kendall, Cipolla, "SegNet", PAMI 2017, over any encoder and any operator.

    No scores are fused and no map is handed over: only the switches tell the decoder of the finer
    levels. With max-unpooling they are per channel where a pool has as many channels as its
    map, as in the paper; the two small exceptions are level 1 of ``tiny``, whose pool is a strided
    convolution, and ``smp``. With ``encoder=vgg16_bn upsample=max_unpool upsample.refine=none`` it
    is the paper's net, 13 convolutions down and 13 up.

    Args:
        encoder: computes pool5 and the switches; its head is left out.
        upsample: builds an operator from (channels, factor).
        num_classes: K.
        depths: convolutions of the decoders of level 1, …, 5; the last of level 1 gives the scores.
    """

    # the factor of the last climb
    stride = 2

    def __init__(
        self,
        encoder: Encoder,
        upsample: UpsamplingFactory,
        num_classes: Width,
        depths: Annotated[Sequence[Depth], Len(LEVELS, LEVELS)] = (2, 2, 3, 3, 3),
    ) -> None:
        super().__init__()
        self.encoder = encoder
        # weights of earlier versions also hold the head's tensors
        self._head_names = encoder.drop_head()
        self.register_load_state_dict_pre_hook(drop_head_tensors)  # type: ignore[no-untyped-call]
        widths = encoder.channels
        self.climb = nn.ModuleList(upsample(width, 2) for width in widths)
        self.decode = nn.ModuleList(
            nn.Sequential(*(conv_bn_relu(width, width) for _ in range(depth - 1)))
            for width, depth in zip(widths, depths, strict=True)
        )
        self.narrow = nn.ModuleList(
            conv_bn_relu(widths[i], widths[i - 1]) for i in range(1, LEVELS)
        )
        self.score = nn.Conv2d(widths[0], num_classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps RGB in 0…1 (N, 3, H, W) to scores (N, K, H, W), for any H, W ≥ 1."""
        features = self.encoder(pad_to_multiple(self.encoder.normalize(x), STRIDE))
        y = features.pools[-1]  # (N, C, /32)
        last = [self.score, *self.narrow]
        for i in reversed(range(LEVELS)):
            find_switches = partial(features.switches, channels=y.shape[1])
            y = climb_levels(self.climb[i], y, find_switches, [i + 1])
            # (N, widths[i − 1] or K, /2^i)
            y = last[i](self.decode[i](y))
        return raise_precision(crop_to(y, x))


def drop_head_tensors(
    net: SegNet, state: dict[str, Tensor], prefix: str, *_: object, **__: object
) -> None:
    """Removes the tensors of the encoder's head from weights about to be loaded."""
    for name in net._head_names:
        state.pop(f"{prefix}encoder.{name}", None)


@check_arguments
class SegNetBasic(nn.Module):
    """SegNet-Basic: four encoders and four decoders of one 7×7 convolution each.

    Badrinarayanan, Kendall, Cipolla 2017, section 3.1: 64 maps everywhere, batch norm and no bias,
    ReLU in the encoders alone; a pixel of the deepest map sees 106×106 pixels of the image. With
    ``upsample=max_unpool upsample.refine=none`` it is the paper's, with ``bilinear`` its
    "Bilinear-Interpolation" with learned decoders.

    Args:
        upsample: builds an operator from (channels, factor).
        num_classes: K.
        width: channels of every map.
        levels: encoders, and decoders.
    """

    # the factor of the last climb
    stride = 2

    def __init__(
        self,
        upsample: UpsamplingFactory,
        num_classes: Width,
        width: Annotated[int, Ge(1), Le(2**11)] = 64,
        levels: Annotated[int, Ge(1), Le(6)] = 4,
    ) -> None:
        super().__init__()
        self.normalize = Normalize()
        self.encoder = nn.ModuleList(
            conv_bn_relu(3 if level == 0 else width, width, kernel=7) for level in range(levels)
        )
        self.climb = nn.ModuleList(upsample(width, 2) for _ in range(levels))
        self.decode = nn.ModuleList(conv_bn_relu(width, width, kernel=7)[:2] for _ in range(levels))
        self.score = nn.Conv2d(width, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps RGB in 0…1 (N, 3, H, W) to scores (N, K, H, W), for any H, W ≥ 1."""
        y = pad_to_multiple(self.normalize(x), 2 ** len(self.encoder))
        switches: list[Tensor] = []
        for encode in self.encoder:
            y, indices = F.max_pool2d(encode(y), 2, return_indices=True)
            # (N, C, h, w), a position a channel
            switches.append(indices)
        levels = reversed(range(len(switches)))
        for level, climb, decode in zip(levels, self.climb, self.decode, strict=True):
            y = decode(climb_levels(climb, y, switches.__getitem__, [level]))
        return raise_precision(crop_to(self.score(y), x))
