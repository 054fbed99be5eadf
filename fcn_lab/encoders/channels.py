"""Adapts encoders to pictures that have not three channels: with depth, grey, infrared, many bands.

C: channels of a picture. ImageNet's first kernels saw red, green and blue.
"""

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn

from fcn_lab.encoders.base import RGB_CHANNELS, Encoder, Normalize
from fcn_lab.errors import UserError

Channels = Annotated[int, Ge(1), Le(1024)]
Kernels = Literal["averaged", "repeated"]


def widen_input(encoder: Encoder, channels: Channels, kernels: Kernels, are_random: bool) -> None:
    """Makes an encoder of RGB one of pictures of C channels; three leave it as it is.

    Args:
        encoder: its weights and their preprocessing are in place.
        channels: C.
        kernels: "averaged" keeps the three first kernels and gives each further channel their mean;
            where C < 3, each channel gets the mean, so that equal channels score as grey did, if
            all colours are normalised alike, and else nearly so.
            "repeated" uses the three in turn, scaled by 3/C, so that the sum keeps its size.
        are_random: whether the weights are random; the first layer is then drawn anew.

    Raises:
        UserError: the encoder has not one layer that sees the picture.
    """
    encoder.image_channels = channels
    if channels == RGB_CHANNELS:
        return
    first = [
        layer
        for layer in encoder.modules()
        if isinstance(layer, nn.Conv2d) and layer.in_channels == RGB_CHANNELS and layer.groups == 1
    ]
    if len(first) != 1:
        raise UserError(
            f"encoder.in_channels={channels}: {len(first)} layers of this encoder take three "
            "channels, and which one sees the picture is not known.\nExpected one; try resnet34"
        )
    (layer,) = first
    with torch.no_grad():
        weight = SPREADS[kernels](layer.weight, channels)
        if are_random:
            nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")
    layer.in_channels, layer.weight = channels, nn.Parameter(weight)
    _spread_preprocessing(encoder.normalize, channels)


def _average(weight: Tensor, channels: int) -> Tensor:
    """Maps kernels (F,3,k,k) to (F,C,k,k): those of the colours, and their mean for the others."""
    mean = weight.mean(1, keepdim=True)
    if channels < RGB_CHANNELS:
        return mean.repeat(1, channels, 1, 1) * (RGB_CHANNELS / channels)
    return torch.cat([weight, mean.repeat(1, channels - RGB_CHANNELS, 1, 1)], 1)


def _repeat(weight: Tensor, channels: int) -> Tensor:
    """Maps kernels (F,3,k,k) to (F,C,k,k): the three in turn, scaled so that their sum stays."""
    turns = [channel % RGB_CHANNELS for channel in range(channels)]
    return weight[:, turns] * (RGB_CHANNELS / channels)


SPREADS: dict[Kernels, Callable[[Tensor, int], Tensor]] = {
    "averaged": _average,
    "repeated": _repeat,
}


def _spread_preprocessing(normalize: nn.Module, channels: int) -> None:
    """Sets mean and spread of further channels, or of fewer than three, to the colours' average."""
    assert isinstance(normalize, Normalize)
    for name in ("mean", "std"):
        colours: Tensor = getattr(normalize, name)
        grey = colours.mean().view(1, 1, 1)
        start = colours if channels > RGB_CHANNELS else colours[:0]
        normalize.register_buffer(
            name, torch.cat([start, grey.repeat(channels - len(start), 1, 1)])
        )
