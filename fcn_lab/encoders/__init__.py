"""The encoders: ``vgg16`` and ``vgg16_bn``, ``tiny``, and every one of segmentation-models-pytorch."""

from fcn_lab.encoders.base import Encoder, Features, Normalize
from fcn_lab.encoders.smp import SmpEncoder
from fcn_lab.encoders.tiny import TinyEncoder
from fcn_lab.encoders.vgg import VGG16Encoder

__all__ = ["Encoder", "Features", "Normalize", "SmpEncoder", "TinyEncoder", "VGG16Encoder"]
