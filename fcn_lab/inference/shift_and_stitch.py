"""Computes a score for every single pixel: by shift-and-stitch, or à trous, which gives the same.

A network of stride f scores every f-th pixel. Shifted by each of the f² offsets it scores them all,

    dense[f·i + a, f·j + b] = net(image moved up by a and left by b)[i, j],

and so does the network without strides whose later kernels are dilated by the strides removed
before them: their taps then read the same positions as before. Without padding the two agree to
rounding; with padding they do where no tap reads beyond a border, because zeros lie around other
maps. Long, Shelhamer, Darrell 2015, section 3.2; the à trous algorithm: Holschneider et al. 1989.
"""

import copy
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fcn_lab.encoders import VGG16Encoder
from fcn_lab.encoders.base import STRIDE
from fcn_lab.errors import UserError
from fcn_lab.geometry.algebra import chain_affines
from fcn_lab.geometry.alignment import PadOnce, find_layers
from fcn_lab.geometry.trace import trace
from fcn_lab.networks.fcn import FCN
from fcn_lab.values import Count, check_arguments

POINTWISE = (nn.ReLU, nn.Dropout, nn.Dropout2d, nn.BatchNorm2d, nn.Identity)


def shift_and_stitch(
    score: Callable[[Tensor], Tensor], image: Tensor, stride: int, batch_size: int = 16
) -> Tensor:
    """Interlaces the scores of all shifts: (N, C, H, W) -> (N, K, h·f, w·f).

    Beyond the last row and column, shifted images are padded with zeros.

    Args:
        score: (N, C, H, W) -> (N, K, h, w), one score every f pixels.
        image: N images.
        stride: f.
        batch_size: shifted images at a time, which bounds the memory.
    """
    n, _, height, width = image.shape
    padded_image = F.pad(image, (0, stride - 1, 0, stride - 1))
    shifts = list(product(range(stride), range(stride)))
    at_a_time, canvas = max(1, batch_size // n), None
    for start in range(0, len(shifts), at_a_time):
        batch = shifts[start : start + at_a_time]
        images = torch.cat([padded_image[..., a : a + height, b : b + width] for a, b in batch])
        scores = score(images)  # (shifts·N, K, h, w)
        if canvas is None:
            k, h, w = scores.shape[1:]
            canvas = scores.new_empty(n, k, h, stride, w, stride)
        for (a, b), part in zip(batch, scores.split(n), strict=True):  # type: ignore[no-untyped-call]
            canvas[:, :, :, a, :, b] = part
    assert canvas is not None
    return canvas.flatten(4, 5).flatten(2, 3)


def remove_strides(layers: Iterable[nn.Module]) -> nn.Sequential:
    """Returns the layers without strides, dilated: (N, C, H, W) -> a score for every position.

    Raises:
        UserError: a layer is neither a convolution, nor a max pooling, nor pointwise.
    """
    rate, dilated_layers = 1, []
    for layer in layers:
        twin = copy.copy(layer)
        if isinstance(twin, nn.Conv2d):
            twin.dilation = (twin.dilation[0] * rate, twin.dilation[1] * rate)
            twin.padding = (int(twin.padding[0]) * rate, int(twin.padding[1]) * rate)
            rate, twin.stride = rate * twin.stride[0], (1, 1)
        elif isinstance(twin, nn.MaxPool2d):
            assert isinstance(twin.stride, int)
            assert isinstance(twin.dilation, int)
            twin.dilation, twin.ceil_mode = twin.dilation * rate, False
            rate, twin.stride = rate * twin.stride, 1
        elif not isinstance(twin, POINTWISE):
            raise UserError(f"dense=atrous knows no {type(layer).__name__}; try shift_and_stitch")
        dilated_layers.append(twin)
    return nn.Sequential(*dilated_layers)


@check_arguments
class ShiftAndStitch(nn.Module):
    """An FCN whose last climb is replaced by f² passes over shifted images.

    Each pixel gets the score whose centre is nearest to it, by the algebra of ``fcn_lab.geometry``.
    It computes in float32 also under autocast, since rounded scores would tie and no climb follows
    that parts them.

    Args:
        net: an FCN, whose stride f is that of its finest scores.
        batch_size: shifted images at a time.

    Raises:
        UserError: it is another network.
    """

    def __init__(self, net: nn.Module, batch_size: Count = 16) -> None:
        super().__init__()
        self.net, self.batch_size = require_fcn(net, "shift_and_stitch"), batch_size
        self.stride = self.net.upscore.factor
        self.first = self._find_first()

    def _find_first(self) -> int:
        """Returns the pixel on which the first of the finest scores lies."""
        rows = trace(CoarseScores(self.net), STRIDE, STRIDE)
        maps = rows[-1].maps
        if maps is None:
            # an operator that gathers or shuffles has climbed; where nothing is cropped, what it
            # gives lies where the skip lies that is added to it
            assert isinstance(self.net.alignment, PadOnce)
            name = f"net.score_pool{self.net.skips[-1][0]}"
            maps = next(row.maps for row in reversed(rows) if row.name == name)
        assert maps is not None
        return round(maps[0].affines[0].shift)

    def forward(self, x: Tensor) -> Tensor:
        """Maps RGB in 0…1 (N, 3, H, W) to scores (N, K, H, W), for any H, W ≥ 1."""
        height, width = x.shape[-2:]
        start_padding, cut = max(self.first, 0), max(-self.first, 0)
        image = F.pad(self.net.encoder.normalize(x), (start_padding, 0, start_padding, 0))
        with without_autocast(x.device.type):
            scores = shift_and_stitch(CoarseScores(self.net), image, self.stride, self.batch_size)
        return scores[..., cut : cut + height, cut : cut + width]


@check_arguments
class Atrous(nn.Module):
    """An FCN without skips, whose strides are removed and whose kernels are dilated instead.

    It computes in float32 also under autocast, as `ShiftAndStitch` does.

    Args:
        net: an FCN-32s over a VGG-16.

    Raises:
        UserError: it is another network.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = require_fcn(net, "atrous")
        if self.net.skips or not isinstance(self.net.encoder, VGG16Encoder):
            raise UserError(
                "dense=atrous needs a network without skips over a chain of layers, such as "
                "model=fcn32s encoder=vgg16; dense=shift_and_stitch takes every FCN"
            )
        layers = [*self.net.encoder.chain(), self.net.score_fr]
        self.chain = remove_strides(layers)
        self.first = round(chain_affines(find_layers(layers)).shift)
        self.lost_positions = self._count_lost()

    def _count_lost(self) -> int:
        size = start = 1 << 12
        for layer in self.chain:
            for window in find_layers([layer]):
                size = window.size(size)
        return start - size

    def forward(self, x: Tensor) -> Tensor:
        """Maps RGB in 0…1 (N, 3, H, W) to scores (N, K, H, W), for any H, W ≥ 1."""
        end_padding = self.lost_positions - self.first
        image = F.pad(
            self.net.encoder.normalize(x), (self.first, end_padding, self.first, end_padding)
        )
        with without_autocast(x.device.type):
            scores: Tensor = self.chain(image)
        return scores


def without_autocast(device: str) -> AbstractContextManager[object]:
    """Returns a block that computes in float32 on this kind of device; "meta" has no autocast."""
    is_available = torch.amp.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if is_available else nullcontext()


class CoarseScores(nn.Module):
    """An FCN up to its last climb: normalised (N, 3, H, W) -> scores (N, K, /f)."""

    def __init__(self, net: FCN) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Returns the scores before the last climb."""
        return self.net.coarse_scores(x)[0]


def require_fcn(net: nn.Module, word: str) -> FCN:
    """Returns the network itself if it is an FCN.

    Raises:
        UserError: it is no FCN.
    """
    if not isinstance(net, FCN):
        raise UserError(f"dense={word} needs an FCN, the run's network is a {type(net).__name__}")
    return net
