"""Aligns the maps of a network with each other and with the image.

``PadOnce`` makes every step exact; ``Crops`` is the published nets' way, with offsets that follow
from the kernels by the algebra of ``fcn_lab.geometry.algebra``.
"""

from collections.abc import Iterable, Mapping
from copy import copy
from typing import Protocol

from torch import Tensor, nn

from fcn_lab.geometry.algebra import (
    Affine,
    Layer,
    TransposedWindow,
    Window,
    chain_affines,
    crop_offset,
)
from fcn_lab.geometry.sizes import crop_to, pad_to_multiple


class Alignment(Protocol):
    """The size changes that a network asks for on its way from image to scores."""

    def enter(self, image: Tensor) -> Tensor:
        """Returns the image as the encoder expects it."""

    def skip(self, level: int, score: Tensor, upscore: Tensor) -> Tensor:
        """Returns the scores of pool `level` cut to lie over the upsampled coarser scores."""

    def leave(self, score: Tensor, image: Tensor) -> Tensor:
        """Returns the scores that lie over the image."""

    def at_stride(self, stride: int) -> "Alignment":
        """Returns the alignment of the same net with this stride, without the finer skips."""


class PadOnce:
    """Pads zeros at the right and below up to a multiple of m, and cuts them off at the end."""

    def __init__(self, multiple: int) -> None:
        self.multiple = multiple

    def enter(self, image: Tensor) -> Tensor:
        """Maps (N, C, H, W) -> (N, C, ⌈H/m⌉·m, ⌈W/m⌉·m)."""
        return pad_to_multiple(image, self.multiple)

    def skip(self, level: int, score: Tensor, upscore: Tensor) -> Tensor:
        """Returns `score` unchanged, because every step is exact."""
        return score

    def leave(self, score: Tensor, image: Tensor) -> Tensor:
        """Returns the scores cut to the image's height and width."""
        return crop_to(score, image)

    def at_stride(self, stride: int) -> "PadOnce":
        """Returns itself: the coarsest map alone decides what is padded."""
        return self


class Crops:
    """Cuts maps where they meet, as Caffe's crop layers do.

    Args:
        pools: the layers from the image to each pool that is fused, by level.
        head: the layers from the image to the coarsest scores.
        stride: stride of the finest scores fused; they climb to the image in one step.
    """

    def __init__(
        self, pools: Mapping[int, Iterable[nn.Module]], head: Iterable[nn.Module], stride: int
    ) -> None:
        self._pools = {level: find_layers(layers) for level, layers in pools.items()}
        self._head = find_layers(head)
        self._compute_offsets(stride)

    def at_stride(self, stride: int) -> "Crops":
        """Returns the crops of the net that fuses only what is as coarse as this stride."""
        crops = copy(self)
        crops._compute_offsets(stride)
        return crops

    def _compute_offsets(self, stride: int) -> None:
        climb = list(self._head)
        self.offsets: dict[int, int] = {}
        for level in sorted(self._pools, reverse=True):
            if 2**level >= stride:
                climb.append(TransposedWindow(4, 2))
                pool = chain_affines(self._pools[level])
                self.offsets[level] = crop_offset(pool, chain_affines(climb))
        climb.append(TransposedWindow(2 * stride, stride))
        self.last_offset = crop_offset(chain_affines(climb), Affine())

    def enter(self, image: Tensor) -> Tensor:
        """Returns the image unchanged, because the first convolution pads."""
        return image

    def skip(self, level: int, score: Tensor, upscore: Tensor) -> Tensor:
        """Returns `score` cut to the height and width of `upscore`."""
        return crop_to(score, upscore, self.offsets[level])

    def leave(self, score: Tensor, image: Tensor) -> Tensor:
        """Returns the scores cut to the image's height and width."""
        return crop_to(score, image, self.last_offset)


def find_layers(modules: Iterable[nn.Module]) -> list[Layer]:
    """Returns the algebra's layers among modules with square kernels; others keep positions."""
    layers: list[Layer] = []
    for module in modules:
        if isinstance(module, nn.Conv2d):
            padding = int(module.padding[0])
            layers.append(
                Window(module.kernel_size[0], module.stride[0], padding, module.dilation[0])
            )
        elif isinstance(module, nn.MaxPool2d):
            sizes = module.kernel_size, module.stride, module.padding, module.dilation
            layers.append(Window(*sizes, module.ceil_mode))  # type: ignore[arg-type]
    return layers
