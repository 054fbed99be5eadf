"""The small encoder, made for two CPU cores."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import torch.nn.functional as F
from annotated_types import Len
from torch import Tensor, nn

from fcn_lab.encoders.base import LEVELS, Encoder, Features, Normalize, conv_bn_relu
from fcn_lab.encoders.channels import Channels, Kernels, widen_input
from fcn_lab.encoders.weights import NO_WEIGHTS, read_weights, wants_imagenet
from fcn_lab.errors import UserError
from fcn_lab.values import Depth, Share, Width, check_arguments


@check_arguments
class TinyEncoder(Encoder):
    """A stride-2 stem, then residual blocks and a 2×2 max pool at strides 2, 4, 8 and 16.

    Nothing but the stem works at full resolution: on a CPU the memory traffic there costs more than
    all the rest. So pool1 is the stem's output, and the map it stands for is the image. The head
    sees the whole image by its mean.

    Args:
        widths: channels of the five pools.
        depths: residual blocks before pool2, …, pool5.
        head_width: channels of the head.
        dropout: probability that a whole channel behind the head is dropped.
        weights: "none", or a file of this encoder's weights.
        in_channels: channels of a picture; see ``fcn_lab.encoders.channels`` where not three.
        first_kernels: "averaged" or "repeated": how pretrained kernels of RGB become theirs.

    Raises:
        UserError: the file does not hold them.
    """

    head_layers = ("head",)

    def __init__(
        self,
        widths: Annotated[Sequence[Width], Len(LEVELS, LEVELS)] = (32, 32, 64, 128, 256),
        depths: Annotated[Sequence[Depth], Len(LEVELS - 1, LEVELS - 1)] = (1, 1, 2, 2),
        head_width: Width = 256,
        dropout: Share = 0.1,
        weights: str = "none",
        in_channels: Channels = 3,
        first_kernels: Kernels = "averaged",
    ) -> None:
        super().__init__()
        if wants_imagenet(weights, or_file=True):
            raise UserError("encoder.weights=imagenet: there are none of encoder=tiny")
        self.normalize = Normalize()
        self.channels = tuple(widths)
        self.map_channels = (in_channels, *widths[1:])
        self.head_channels = head_width
        self.stem = conv_bn_relu(3, widths[0], kernel=5, stride=2)
        self.stages = nn.ModuleList(
            nn.Sequential(
                Residual(inputs, outputs), *(Residual(outputs, outputs) for _ in range(depth - 1))
            )
            for (inputs, outputs), depth in zip(pairwise(widths), depths, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.head = ContextHead(widths[-1], head_width, dropout)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is None:
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        read_weights(self, weights)
        widen_input(self, in_channels, first_kernels, weights == NO_WEIGHTS)

    def forward(self, x: Tensor) -> Features:
        """Maps normalised images (N, 3, H, W) to pools, maps and head."""
        maps, pools = [x], [self.stem(x)]
        for stage in self.stages:
            maps.append(stage(pools[-1]))
            pools.append(self.pool(maps[-1]))
        return Features(pools, maps, self.head(pools[-1]))


class Residual(nn.Module):
    """Two 3×3 convolutions added to a shortcut (He, Zhang, Ren, Sun 2016).

    At the start only the shortcut counts: the last scale is zero (Goyal et al. 2017).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = conv_bn_relu(inputs, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.around: nn.Module = nn.Identity()
        if inputs != outputs:
            self.around = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
            )
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C_in, H, W) -> (N, C_out, H, W)."""
        return F.relu(self.norm2(self.conv2(self.conv1(x))) + self.around(x))


class ContextHead(nn.Module):
    """A 3×3 convolution plus the mean of the whole map (ParseNet, 2015), mixed by a 1×1."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.local = conv_bn_relu(inputs, outputs)
        self.context = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.ReLU())
        self.mix = conv_bn_relu(outputs, outputs, kernel=1)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C_in, /32) -> (N, C_out, /32)."""
        output: Tensor = self.dropout(
            self.mix(self.local(x) + self.context(x.mean((2, 3), keepdim=True)))
        )
        return output
