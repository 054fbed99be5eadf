"""Where every map lies over the image: sizes, strides, receptive fields, offsets."""

from fcn_lab.geometry.sizes import crop_to, pad_to_multiple

__all__ = ["crop_to", "pad_to_multiple"]
