"""VGG-16 as the FCN paper uses it: five pools, and the classifier's fc6 and fc7 as convolutions."""

import re
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torchvision.models import VGG, vgg16

from fcn_lab.encoders.base import LEVELS, Encoder, Features, Normalize
from fcn_lab.encoders.channels import Channels, Kernels, widen_input
from fcn_lab.encoders.fully_connected import ClassifierConv, transplant_classifier
from fcn_lab.encoders.preprocessing import Mean, Std, require_preprocessing, state_preprocessing
from fcn_lab.encoders.weights import (
    IMAGENET,
    NO_WEIGHTS,
    fetch_weights,
    read_weights,
    wants_imagenet,
)
from fcn_lab.values import Share, Width, check_arguments


@check_arguments
class VGG16Encoder(Encoder):
    """Cuts torchvision's VGG-16 layers after each pool.

    Simonyan, Zisserman 2015; Long, Shelhamer, Darrell 2015, section 4.

    fc6 is a 7×7 convolution with padding 3 and fc7 a 1×1, each followed by ReLU and dropout. With
    pretrained weights both are the classifier's own layers (``fcn_lab.encoders.fully_connected``).

    Args:
        builder: ``torchvision.models.vgg16`` or ``vgg16_bn``.
        weights: "none", "imagenet" (fetched once into torch's hub folder), or a file of this
            encoder's weights or of torchvision's network.
        head_width: channels of fc6 and fc7; 4096 in the paper.
        dropout: behind fc6 and fc7; 0.5 in the paper.
        mean: the mean of R, G and B in 0…1 that a file's weights were trained with, where the file
            does not say it.
        std: the standard deviation of R, G and B, stated beside `mean`.
        in_channels: channels of a picture; see ``fcn_lab.encoders.channels`` where not three.
        first_kernels: "averaged" or "repeated": how pretrained kernels of RGB become theirs.

    Raises:
        UserError: the weights cannot be fetched, the word is unknown, or the preprocessing of the
            file is not known.
    """

    head_layers = ("fc6", "fc7")

    def __init__(
        self,
        builder: Callable[..., VGG] = vgg16,
        weights: str = "none",
        head_width: Width = 4096,
        dropout: Share = 0.5,
        mean: Mean | None = None,
        std: Std | None = None,
        in_channels: Channels = 3,
        first_kernels: Kernels = "averaged",
    ) -> None:
        super().__init__()
        mean_and_spread = state_preprocessing(weights, mean, std)
        self.normalize = Normalize(*mean_and_spread or ())
        net = load_vgg(builder, weights)
        layers = net.features
        pools = [i for i, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
        bounds = [-1, *pools]
        stages = [layers[start + 1 : end] for start, end in pairwise(bounds)]
        self.stages = nn.ModuleList(stages)
        self.channels = self.map_channels = tuple(
            [layer.out_channels for layer in stage if isinstance(layer, nn.Conv2d)][-1]
            for stage in stages
        )
        self.head_channels = head_width
        self.pool = nn.MaxPool2d(2)
        self.fc6 = build_classifier_layer(self.channels[-1], head_width, 7, dropout)
        self.fc7 = build_classifier_layer(head_width, head_width, 1, dropout)
        if weights == IMAGENET:
            transplant_classifier(net.classifier, self.fc6, self.fc7)
        # torchvision calls stages.2.10.weight features.10.weight
        state = self.state_dict()
        foreign_names = {re.sub(r"^stages\.\d+\.", "features.", name): name for name in state}
        tensor_names = read_weights(
            self, weights, foreign_names, optional=("normalize.", "fc6.", "fc7.")
        )
        require_preprocessing(self, weights, tensor_names, mean_and_spread)
        widen_input(self, in_channels, first_kernels, weights == NO_WEIGHTS)

    def forward(self, x: Tensor) -> Features:
        """Maps normalised images (N, 3, H, W) to pools, maps and fc7."""
        pools, maps = [], []
        for stage in self.stages:
            maps.append(stage(x))
            x = self.pool(maps[-1])
            pools.append(x)
        return Features(pools, maps, self.fc7(self.fc6(x)))

    def chain(self, level: int = LEVELS + 1) -> list[nn.Module]:
        """Returns the layers from the image to a pool (1…5) or, by default, the head, in order."""
        layers: list[nn.Module] = []
        for stage in self.stages[:level]:
            layers += [*stage.children(), self.pool]
        return layers if level <= LEVELS else [*layers, *self.fc6, *self.fc7]


def load_vgg(builder: Callable[..., VGG], weights: str) -> VGG:
    """Returns torchvision's network with its ImageNet weights, or with random ones.

    torch.hub writes to a temporary file, checks its hash and only then gives it its name, so that
    an interrupted fetch leaves nothing behind that a later one would trust. With random weights the
    classifier, of 120 million that nobody needs, lies on the meta device.
    """
    if wants_imagenet(weights, or_file=True):
        return fetch_weights(lambda: builder(weights="IMAGENET1K_V1"), builder.__name__)
    device = torch.empty(0).device
    with torch.device("meta"):
        net = builder(weights=None)
    net.features.to_empty(device=device)
    for layer in net.features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
    return net


def build_classifier_layer(inputs: int, outputs: int, kernel: int, dropout: float) -> nn.Sequential:
    """Returns a classifier layer as a "same" convolution, with ReLU and dropout."""
    conv = ClassifierConv(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return nn.Sequential(conv, nn.ReLU(inplace=True), nn.Dropout(dropout))
