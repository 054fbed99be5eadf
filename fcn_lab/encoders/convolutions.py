"""Convolutions of a library's networks, replaced by ones that compute the same faster or plainer.

Depthwise ones stay in float32 under a CPU's bf16: torch's bf16 kernels of a CPU take several times
as long as those of float32 for the gradients of a depthwise convolution with a stride of 2 or a 5×5
kernel, which is more than its forward pass gains.
"""

import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

from fcn_lab.encoders.full_precision import Float32Conv2d


class SameConv2d(Conv2dSame):
    """A convolution of stride s that gives ⌈H/s⌉ rows, with the odd row of padding at the end.

    timm computes the padding from H / s rounded up. Over five strides that becomes an expression
    which torch.export does not simplify within 25 minutes. Here it is computed from the remainder
    of H by s, which is zero at once where a network pads its pictures to whole strides.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the convolved (N, C, ⌈H/s⌉, ⌈W/s⌉)."""
        paddings = [
            max(dilation * (kernel - 1) + 1 - stride + (-size) % stride, 0)
            for size, kernel, stride, dilation in zip(
                x.shape[2:], self.kernel_size, self.stride, self.dilation, strict=True
            )
        ]
        height, width = paddings
        x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class Float32SameConv2d(Float32Conv2d, SameConv2d):
    """A `Float32Conv2d` whose input is padded as TensorFlow pads."""


# a library's convolution, whether depthwise → the lab's
KINDS: dict[tuple[type, bool], type] = {
    (nn.Conv2d, True): Float32Conv2d,
    (Conv2dSame, True): Float32SameConv2d,
    (Conv2dSame, False): SameConv2d,
}


def replace_convolutions(network: nn.Module) -> None:
    """Replaces convolutions of a library's network by the lab's of the same result, in place."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            kind = type(layer), layer.groups == layer.in_channels > 1
            layer.__class__ = KINDS.get(kind, type(layer))
