"""The upsampling operators; ``base`` says what they share."""

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
