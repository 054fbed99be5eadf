"""Operators with a fixed kernel: every value at its cell's corner, then a box, a triangle, a cubic.

A kernel k interpolates by f with its samples at the output's places: out(i) = Σ_j x(j) k(s_i − j),
where s_i = (i + 1/2)/f − 1/2 is the output pixel's place among the input's.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor, nn

from fcn_lab.upsampling.base import Upsampling
from fcn_lab.values import Width, check_arguments

Kernel = Callable[[Tensor], Tensor]


def triangle(t: Tensor) -> Tensor:
    """Returns max(0, 1 − |t|), the kernel of linear interpolation."""
    return (1 - t.abs()).clamp(min=0)


def cubic(t: Tensor, a: float) -> Tensor:
    """Returns Keys' convolution kernel, 1 at 0 and 0 at every other integer.

    (a + 2)|t|³ − (a + 3)|t|² + 1 up to 1, a|t|³ − 5a|t|² + 8a|t| − 4a up to 2, 0 beyond.
    """
    t = t.abs()
    centre = ((a + 2) * t - (a + 3)) * t**2 + 1
    tail = a * (((t - 5) * t + 8) * t - 4)
    return torch.where(t <= 1, centre, torch.where(t < 2, tail, 0))


def sample_kernel(kernel: Kernel, reach: int, factor: int) -> Tensor:
    """Returns the 2·reach·f values that one input value spreads along a line; f even."""
    offsets = torch.arange(2 * reach * factor) - (reach * factor - 0.5)
    return kernel(offsets / factor)


def bilinear_kernel(factor: int) -> Tensor:
    """Returns the 2f×2f triangle kernel of bilinear interpolation by f, for even f.

    Long, Shelhamer, Darrell 2015, section 3.3; with centre c = f − 1/2: (1 − |i − c|/f) (1 − |j −
    c|/f).
    """
    line = sample_kernel(triangle, 1, factor)
    return torch.outer(line, line)


class Interpolate(nn.Module):
    """Fixed interpolation by one of ``torch.nn.functional.interpolate``'s kernels."""

    def __init__(self, stride: int, **options: object) -> None:
        super().__init__()
        self.stride, self.options = stride, options

    def forward(self, x: Tensor, switches: Sequence[Tensor] = ()) -> Tensor:
        """Maps (N, C, h, w) -> (N, C, h·stride, w·stride)."""
        return F.interpolate(x, scale_factor=self.stride, **self.options)  # type: ignore[arg-type]


class Stamp(nn.Module):
    """Interpolates by any fixed kernel, with one grouped transposed convolution along each axis.

    Edges are repeated. Forward and backward are convolutions, which have deterministic kernels.
    """

    line: Tensor

    def __init__(self, stride: int, kernel: Kernel, reach: int) -> None:
        super().__init__()
        self.stride, self.reach = stride, reach
        self.register_buffer("line", sample_kernel(kernel, reach, stride), persistent=False)

    def forward(self, x: Tensor, switches: Sequence[Tensor] = ()) -> Tensor:
        """Maps (N, C, h, w) -> (N, C, h·stride, w·stride)."""
        for axis in (2, 3):
            last = x.shape[axis] - 1
            front = [x.narrow(axis, 0, 1)] * self.reach
            back = [x.narrow(axis, last, 1)] * self.reach
            padded_x, shape = torch.cat([*front, x, *back], axis), [1, 1]
            stride, padding = list(shape), [0, 0]
            shape[axis - 2], stride[axis - 2] = -1, self.stride
            padding[axis - 2] = 2 * self.reach * self.stride - self.stride // 2
            x = F.conv_transpose2d(
                padded_x,
                self.line.view(1, 1, *shape).expand(x.shape[1], -1, -1, -1),
                stride=stride,
                padding=padding,
                groups=x.shape[1],
            )
        return x


class Nearest(Upsampling):
    """Fills each f×f cell with its value: corner placement, box kernel."""

    def step(self, stride: int) -> nn.Module:
        """Returns an interpolation with the box kernel, f×f."""
        return Interpolate(stride, mode="nearest")


class Bilinear(Upsampling):
    """Interpolates linearly between cell centres: corner, triangle kernel, edges repeated.

    torch's own kernel. Its backward on a GPU adds in no fixed order.
    """

    deterministic = False
    deterministic_word = "bilinear_deterministic"

    def step(self, stride: int) -> nn.Module:
        """Returns torch's interpolation with the triangle kernel, 2f×2f."""
        return Interpolate(stride, mode="bilinear", align_corners=False)


class BilinearDeterministic(Upsampling):
    """Computes ``Bilinear`` as transposed convolutions, whose backward is deterministic."""

    def step(self, stride: int) -> nn.Module:
        """Returns transposed convolutions with the triangle kernel, 2f×2f."""
        return Stamp(stride, triangle, 1)


@check_arguments
class Bicubic(Upsampling):
    """Interpolates by cubic convolution between cell centres: Keys' kernel, edges repeated.

    Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981.

    Args:
        channels: C.
        factor: the scale.
        refine: see ``Upsampling``.
        a: the kernel's slope at 1. −1/2 is Keys' own, the one value for which quadratics come out
            exactly and the error falls with the cube of the sampling distance; torch and OpenCV
            interpolate with −3/4, which is sharper and exact for linear functions only.
    """

    def __init__(
        self,
        channels: Width,
        factor: int,
        refine: str = "none",
        a: Annotated[float, Ge(-10), Le(10)] = -0.5,
    ) -> None:
        self.a = a
        super().__init__(channels, factor, refine)

    def step(self, stride: int) -> nn.Module:
        """Returns transposed convolutions with Keys' cubic kernel, 4f×4f."""
        return Stamp(stride, partial(cubic, a=self.a), 2)
