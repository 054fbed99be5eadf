"""The upsampling operators; ``base`` says what they share."""

from fcn_lab.upsampling.base import Switches, Upsampling
from fcn_lab.upsampling.kernels import Bilinear, Nearest, TransposedConv, UpConv, bilinear_kernel
from fcn_lab.upsampling.placement import BedOfNails, MaxUnpool

__all__ = [
    "BedOfNails",
    "Bilinear",
    "MaxUnpool",
    "Nearest",
    "Switches",
    "TransposedConv",
    "UpConv",
    "Upsampling",
    "bilinear_kernel",
]
