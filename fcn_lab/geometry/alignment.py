"""How the maps of a network are brought over each other and over the image.

``PadOnce`` makes every step exact; ``Crops`` is the published nets' way, with offsets that follow
from the kernels by the algebra of ``fcn_lab.geometry.algebra``.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from torch import Tensor, nn

from fcn_lab.geometry.algebra import Affine, Layer, Transposed, Window, crop_offset, look
from fcn_lab.geometry.sizes import crop_to, pad_to_multiple


class Alignment(Protocol):
    """What a network asks on its way."""

    def enter(self, image: Tensor) -> Tensor:
        """The image as the encoder wants it."""

    def skip(self, level: int, score: Tensor, upscore: Tensor) -> Tensor:
        """The scores of pool `level` as they lie over the coarser ones that climbed to them."""

    def leave(self, score: Tensor, image: Tensor) -> Tensor:
        """The scores that lie over the image."""


class PadOnce:
    """Zeros at the right and below, up to a multiple of m, and the same cut off at the end."""

    def __init__(self, multiple: int) -> None:
        self.multiple = multiple

    def enter(self, image: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, ⌈H/m⌉·m, ⌈W/m⌉·m)."""
        return pad_to_multiple(image, self.multiple)

    def skip(self, level: int, score: Tensor, upscore: Tensor) -> Tensor:
        """Unchanged: every step is exact."""
        return score

    def leave(self, score: Tensor, image: Tensor) -> Tensor:
        """Cut to the image's height and width."""
        return crop_to(score, image)


class Crops:
    """Maps are cut where they meet, as by Caffe's crop layers.

    Args:
        pools: the layers from the image to each pool that is fused, by level.
        head: the layers from the image to the coarsest scores.
        stride: of the finest scores fused; they climb to the image in one step.
    """

    def __init__(
        self, pools: Mapping[int, Iterable[nn.Module]], head: Iterable[nn.Module], stride: int
    ) -> None:
        climb = windows(head)
        self.offsets: dict[int, int] = {}
        for level in sorted(pools, reverse=True):
            climb.append(Transposed(4, 2))
            self.offsets[level] = crop_offset(look(windows(pools[level])), look(climb))
        climb.append(Transposed(2 * stride, stride))
        self.last_offset = crop_offset(look(climb), Affine())

    def enter(self, image: Tensor) -> Tensor:
        """Unchanged: the first convolution pads."""
        return image

    def skip(self, level: int, score: Tensor, upscore: Tensor) -> Tensor:
        """Cut to the height and width of `upscore`."""
        return crop_to(score, upscore, self.offsets[level])

    def leave(self, score: Tensor, image: Tensor) -> Tensor:
        """Cut to the image's height and width."""
        return crop_to(score, image, self.last_offset)


def windows(modules: Iterable[nn.Module]) -> list[Layer]:
    """The layers of the algebra among modules with square kernels; others move nothing."""
    found: list[Layer] = []
    for module in modules:
        if isinstance(module, nn.Conv2d):
            padding = int(module.padding[0])
            found.append(
                Window(module.kernel_size[0], module.stride[0], padding, module.dilation[0])
            )
        elif isinstance(module, nn.MaxPool2d):
            sizes = module.kernel_size, module.stride, module.padding, module.dilation
            found.append(Window(*sizes, module.ceil_mode))  # type: ignore[arg-type]
    return found
