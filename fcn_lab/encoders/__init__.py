"""The encoders: VGG-16, the tiny one, EfficientNet-Lite and all of segmentation-models-pytorch."""

from importlib import import_module
from typing import TYPE_CHECKING

from fcn_lab.encoders.base import Encoder, Features, Normalize
from fcn_lab.encoders.caffe_vgg import CaffeVGG16
from fcn_lab.encoders.tiny import TinyEncoder
from fcn_lab.encoders.vgg import VGG16Encoder

if TYPE_CHECKING:
    from fcn_lab.encoders.smp import SmpEncoder

__all__ = [
    "CaffeVGG16",
    "Encoder",
    "Features",
    "Normalize",
    "SmpEncoder",
    "TinyEncoder",
    "VGG16Encoder",
]


def __getattr__(name: str) -> object:
    # importing the library takes half a second of a cell's start, and most cells do not need it
    if name in __all__:
        return getattr(import_module("fcn_lab.encoders.smp"), name)
    raise AttributeError(f"module 'fcn_lab.encoders' has no attribute '{name}'")
