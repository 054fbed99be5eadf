"""A classifier's fully connected layers as convolutions.

A fully connected layer over a C×7×7 map is a 7×7 convolution that fits once: the same weights, read
as (outputs, C, 7, 7). Slid over a larger map it gives a map of scores. Long, Shelhamer, Darrell
2015, section 3.1.
"""

import logging

import torch
from torch import Tensor, nn
from torch.nn import functional

from fcn_lab.errors import UserError


class ClassifierConv(nn.Conv2d):
    """A convolution that trains fast on a CPU, also on maps smaller than its kernel.

    A map smaller than the kernel needs so much padding that oneDNN has no fast backward pass: on
    AVX2 that of fc6 over 6×8 takes half a minute. Here a separate operation pads the map first, so
    that oneDNN gets a map at least as large as the kernel; the scores are the same bits.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to (N, K, H, W), less what the padding lacks."""
        is_small = x.shape[-2] < self.kernel_size[0] or x.shape[-1] < self.kernel_size[1]
        # tracing, exporting and counting see the layer without the change below
        if not (self.training and torch.is_grad_enabled() and x.device.type == "cpu" and is_small):
            return super().forward(x)
        rows, columns = (int(side) for side in self.padding)
        padded_x = functional.pad(x, (columns, columns, rows, rows))
        return functional.conv2d(
            padded_x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups
        )


def convert_to_convolution(layer: nn.Linear, size: int) -> nn.Conv2d:
    """Returns a fully connected layer over a C×size×size map as a convolution.

    The convolution shares the layer's weights.
    """
    channels = layer.in_features // size**2
    conv = nn.Conv2d(channels, layer.out_features, size, device=layer.weight.device)
    with torch.no_grad():
        conv.weight = nn.Parameter(layer.weight.view(-1, channels, size, size))
        conv.bias = nn.Parameter(layer.bias)
    return conv


def transplant_classifier(
    classifier: nn.Sequential, fc6: nn.Sequential, fc7: nn.Sequential
) -> None:
    """Copies the first two layers of VGG-16's classifier into fc6 and fc7.

    Where these are narrower, evenly spaced channels are kept, and a warning says so.

    Raises:
        UserError: they are wider than the classifier's.
    """
    first, second = (layer for layer in classifier[:-1] if isinstance(layer, nn.Linear))
    (fc6_conv, fc7_conv), source_width = (fc6[0], fc7[0]), first.out_features
    assert isinstance(fc6_conv, nn.Conv2d)
    assert isinstance(fc7_conv, nn.Conv2d)
    width = fc6_conv.out_channels
    if width > source_width:
        raise UserError(
            f"encoder.head_width={width}: the classifier has {source_width} channels, "
            "expected no more"
        )
    if width < source_width:
        logging.getLogger("fcn_lab").warning(
            "encoder.head_width=%d: of the classifier's %d channels in fc6 and in fc7, %d evenly "
            "spaced ones are kept", width, source_width, width,
        )  # fmt: skip
    channels = torch.arange(width) * source_width // width
    _fill(fc6_conv, convert_to_convolution(first, fc6_conv.kernel_size[0]), channels, slice(None))
    _fill(fc7_conv, convert_to_convolution(second, 1), channels, channels)


def _fill(target: nn.Conv2d, source: nn.Conv2d, outputs: Tensor, inputs: Tensor | slice) -> None:
    assert target.bias is not None
    assert source.bias is not None
    with torch.no_grad():
        target.weight.copy_(source.weight[outputs][:, inputs])
        target.bias.copy_(source.bias[outputs])
