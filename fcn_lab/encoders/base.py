"""The contract of every encoder.

An encoder takes RGB in 0…1, (N, 3, H, W) with H and W multiples of 32, already normalised by its
own ``normalize``. It returns ``Features``: five pools as the FCN paper defines them (after the
pool, before the next convolution), the maps those pools were taken of, and the head (the paper's
fc7) on pool5.

    level           1       2       3       4       5
    pools           /2      /4      /8      /16     /32     channels[0…4]
    maps            /1      /2      /4      /8      /16     map_channels[0…4]
    head                                            /32     head_channels

Weights and their preprocessing are one object: ``normalize`` holds the mean and the standard
deviation that the weights were trained with, and a user cannot replace it.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fcn_lab.errors import UserError

LEVELS = 5
STRIDE = 2**LEVELS
RGB_CHANNELS = 3
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Features(NamedTuple):
    """The maps an encoder computes for one batch; index 0 is level 1."""

    pools: list[Tensor]
    maps: list[Tensor]
    head: Tensor

    def switches(self, level: int, channels: int = 1) -> Tensor:
        """Returns where the pooling of a level (1…5) found its maxima, as ``max_pool2d`` indices.

        With one channel: in each 2×2 window the position of the largest channel mean, which serves
        any number of score channels. With the map's own number of channels: a position for each.
        """
        activations = self.maps[level - 1].detach()
        if channels != activations.shape[1]:
            activations = activations.mean(1, keepdim=True)
        indices: Tensor = F.max_pool2d(activations.float(), 2, return_indices=True)[1]
        return indices


class Normalize(nn.Module):
    """Computes (x − mean) / std by channel, for RGB in 0…1.

    Raises:
        UserError: on a call, the images are whole numbers, as those of 0…255 are.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, 3, H, W) -> (N, 3, H, W)."""
        require_fractions(x)
        return (x - self.mean) / self.std


def require_fractions(images: Tensor) -> None:
    """Refuses images of whole numbers, which would pass for numbers far above one."""
    if not images.is_floating_point():
        raise UserError(
            f"a network was given images of {images.dtype}: expected floats in 0…1.\n"
            "Type net(images.float() / 255), or give uint8 to a SegmentationModule or predictor."
        )


class Encoder(nn.Module):
    """Base of the encoders; see the contract at the top of this file."""

    channels: tuple[int, ...]
    map_channels: tuple[int, ...]
    head_channels: int
    image_channels: int = RGB_CHANNELS
    # the names of the layers between pool5 and the head
    head_layers: tuple[str, ...] = ()
    normalize: nn.Module

    def forward(self, x: Tensor) -> Features:
        """Maps normalised images (N, 3, H, W), H and W multiples of 32, to ``Features``."""
        raise NotImplementedError

    def drop_head(self) -> list[str]:
        """Removes the head's layers, so that pool5 stands for it; returns their tensors' names.

        Networks that never use the head then neither hold nor compute it.
        """
        names = [name for name in self.state_dict() if name.partition(".")[0] in self.head_layers]
        for layer in self.head_layers:
            setattr(self, layer, nn.Identity())
        self.head_channels = self.channels[-1]
        return names


def conv_bn_relu(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Returns a "same" convolution without bias, followed by batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
