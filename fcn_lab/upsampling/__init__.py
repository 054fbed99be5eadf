"""The upsampling operators; ``help(fcn_lab.upsampling.base)`` says what they share.

Each is built as ``(channels, factor, refine="none")`` and maps (N, C, h, w) to (N, C, h·f, w·f).

    >>> import torch
    >>> from fcn_lab import operators
    >>> scores = torch.rand(1, 11, 3, 5)
    >>> operators.Bilinear(11, factor=8)(scores).shape
    torch.Size([1, 11, 24, 40])
    >>> pooled, switches = torch.nn.functional.max_pool2d(
    ...     torch.rand(1, 11, 6, 10), 2, return_indices=True
    ... )
    >>> operators.MaxUnpool(11, factor=2)(pooled, switches).shape
    torch.Size([1, 11, 6, 10])
    >>> operators.Nearest(11, factor=3)
    Traceback (most recent call last):
    fcn_lab.errors.UserError: upsampling factor 3: expected a power of two, 2 or more
    >>> operators.Nearest(11, factr=2)
    Traceback (most recent call last):
    fcn_lab.errors.UserError: Nearest has no argument factr. Did you mean factor?
    It takes channels, factor, refine
"""

from fcn_lab.upsampling.base import Switches, Upsampling
from fcn_lab.upsampling.carafe import Carafe
from fcn_lab.upsampling.dysample import DySample
from fcn_lab.upsampling.interpolation import (
    Bicubic,
    Bilinear,
    BilinearDeterministic,
    Nearest,
    bilinear_kernel,
)
from fcn_lab.upsampling.kernels import PixelShuffle, TransposedConv, UpConv
from fcn_lab.upsampling.placement import BedOfNails, MaxUnpool

__all__ = [
    "BedOfNails",
    "Bicubic",
    "Bilinear",
    "BilinearDeterministic",
    "Carafe",
    "DySample",
    "MaxUnpool",
    "Nearest",
    "PixelShuffle",
    "Switches",
    "TransposedConv",
    "UpConv",
    "Upsampling",
    "bilinear_kernel",
]
