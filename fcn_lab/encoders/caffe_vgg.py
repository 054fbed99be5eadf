"""VGG-16 with the paddings, the poolings and the preprocessing of the published FCNs."""

from functools import partial
from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn
from torchvision.models.vgg import VGG, cfgs, make_layers

from fcn_lab.encoders.base import require_fractions
from fcn_lab.encoders.vgg import VGG16Encoder
from fcn_lab.encoders.weights import NO_WEIGHTS
from fcn_lab.values import Share, Width, check_arguments

BGR_MEAN = (104.00699, 116.66877, 122.67892)
Padding = Annotated[int, Ge(0), Le(1000)]
# the width of the first stage; those of the others follow from it
FirstWidth = Annotated[int, Ge(1), Le(2**9)]


class CaffeNormalize(nn.Module):
    """Maps RGB in 0…1 to BGR in 0…255 minus the mean colour of ImageNet."""

    mean: Tensor
    # the largest value of the inputs that the weights were trained on
    largest_input = 255.0

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(BGR_MEAN).view(-1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, 3, H, W) -> (N, 3, H, W)."""
        require_fractions(x)
        return x.flip(1) * 255 - self.mean


@check_arguments
class CaffeVGG16(VGG16Encoder):
    """The encoder of the published FCNs: images of any size, taken as they are.

    conv1_1 pads by 100, so that the smallest image still leaves fc6, which pads by nothing, one
    position; poolings round up. The maps lie 100 pixels of padding away from the image's corner,
    which crops undo (``fcn_lab.geometry.alignment``).

    Args:
        padding: zeros around the input of conv1_1.
        head_width: channels of fc6 and fc7.
        dropout: probability behind fc6 and fc7.
        width: channels of conv1_1 and conv1_2, by which all stages scale.
    """

    def __init__(
        self,
        padding: Padding = 100,
        head_width: Width = 4096,
        dropout: Share = 0.5,
        width: FirstWidth = 64,
    ) -> None:
        super().__init__(partial(build_vgg16, width), NO_WEIGHTS, head_width, dropout)
        self.normalize = CaffeNormalize()
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        first, fc6 = self.chain()[0], self.fc6[0]
        assert isinstance(first, nn.Conv2d)
        assert isinstance(fc6, nn.Conv2d)
        first.padding, fc6.padding = (padding, padding), (0, 0)


def build_vgg16(width: int, weights: None = None) -> VGG:
    """Builds torchvision's VGG-16 with a first stage of that width, its layers as torch begins."""
    widths = [stage if stage == "M" else int(stage) * width // 64 for stage in cfgs["D"]]
    return VGG(make_layers(widths), init_weights=False)
