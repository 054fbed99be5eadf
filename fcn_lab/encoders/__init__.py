"""The encoders: VGG-16, the tiny one, and every one of segmentation-models-pytorch."""

from fcn_lab.encoders.base import Encoder, Features, Normalize
from fcn_lab.encoders.published import CaffeVGG16
from fcn_lab.encoders.smp import SmpEncoder
from fcn_lab.encoders.tiny import TinyEncoder
from fcn_lab.encoders.vgg import VGG16Encoder

__all__ = [
    "CaffeVGG16",
    "Encoder",
    "Features",
    "Normalize",
    "SmpEncoder",
    "TinyEncoder",
    "VGG16Encoder",
]
