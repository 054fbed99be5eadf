"""Published and pretrained weights into our networks, and back out of them."""

from fcn_lab.encoders.classifier import transplant
from fcn_lab.surgery.classifier import convolutionalise, dense_vs_patches
from fcn_lab.surgery.published import export_published, load_published, published_fcn

__all__ = [
    "convolutionalise",
    "dense_vs_patches",
    "export_published",
    "load_published",
    "published_fcn",
    "transplant",
]
