"""Compares a classifier that scores an image in one dense pass with one that scores patches."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fcn_lab.cost.macs import count_cost
from fcn_lab.cost.measure import synchronized_time
from fcn_lab.encoders import VGG16Encoder
from fcn_lab.errors import UserError
from fcn_lab.geometry.algebra import chain_affines
from fcn_lab.geometry.alignment import find_layers
from fcn_lab.geometry.graph import Map
from fcn_lab.geometry.sizes import count_channels
from fcn_lab.networks.fcn import FCN
from fcn_lab.text.terminal import format_amount, format_duration


@dataclass(frozen=True)
class DenseComparison:
    """The cost of one dense pass, and that of the same scores computed patch by patch.

    Attributes:
        scores: how many scores there are, of `patch`² pixels each, `stride` pixels apart.
        difference: the largest difference of two scores, over the largest score.
        dense_macs, patches_macs: multiply-accumulates.
        dense_seconds, patches_seconds: wall time.
    """

    scores: int
    patch: int
    stride: int
    difference: float
    dense_macs: int
    patches_macs: int
    dense_seconds: float
    patches_seconds: float

    @property
    def ratio(self) -> float:
        """Returns how many times longer the patches take."""
        return self.patches_seconds / self.dense_seconds

    def describe(self) -> str:
        """Returns both costs and the largest difference in a sentence."""
        return (
            f"{self.scores} scores of {self.patch}×{self.patch} patches, {self.stride} apart: one "
            f"dense pass {format_duration(self.dense_seconds)}, patch by patch "
            f"{format_duration(self.patches_seconds)}: {format_amount(self.ratio)} times the time, "
            f"{format_amount(self.patches_macs / self.dense_macs)} times the operations, the same "
            f"scores to {self.difference:.1e} of the largest"
        )


@torch.inference_mode()
def compare_dense_with_patches(net: nn.Module, grid: int, batch_size: int = 1) -> DenseComparison:
    """Scores a grid of patches one by one, and in one pass the image that contains them.

    The network's own layers up to score_fr are used without padding: a patch is as large as the
    receptive field of one score, and padding would put zeros where the image goes on. Long,
    Shelhamer, Darrell 2015, section 3.1: 22 ms for 10×10 scores against 1.2 ms for each.

    Args:
        net: an FCN over a VGG-16.
        grid: patches a side.
        batch_size: patches at a time.

    Raises:
        UserError: it is another network.
    """
    if not isinstance(net, FCN) or not isinstance(net.encoder, VGG16Encoder) or grid < 1:
        raise UserError(
            "dense_vs_patches=true needs an FCN over a chain of layers, such as model=fcn32s "
            "encoder=vgg16, and task.patches of 1 or more"
        )
    chain = nn.Sequential(*map(_remove_padding, [*net.encoder.chain(), net.score_fr])).eval()
    layers = find_layers(chain)
    score_map = Map(1)
    for layer in layers:
        score_map = Map(1, [(score_map, layer)])
    patch, stride = score_map.receptive_field(), int(chain_affines(layers).scale)
    side = patch + stride * (grid - 1)
    size = (1, count_channels(net), side, side)
    image = torch.randn(size, device=next(net.parameters()).device)
    starts = range(0, grid * stride, stride)
    patches = torch.cat([image[..., y : y + patch, x : x + patch] for y in starts for x in starts])

    def one_by_one() -> Tensor:
        return torch.cat([chain(part) for part in torch.split(patches, batch_size)])

    # the first pass of a size costs more
    for images in (patches[:1], image):
        chain(images)
    scores, dense_seconds = _time_call(lambda: chain(image))
    patch_scores, patches_seconds = _time_call(one_by_one)
    difference = (scores[0].flatten(1).T - patch_scores.flatten(1)).abs().max() / scores.abs().max()
    return DenseComparison(
        grid**2, patch, stride, float(difference),
        count_cost(chain, side, side).macs, grid**2 * count_cost(chain, patch, patch).macs,
        dense_seconds, patches_seconds,
    )  # fmt: skip


def _remove_padding(layer: nn.Module) -> nn.Module:
    """Returns the layer with the same weights and without padding."""
    twin = copy.copy(layer)
    if isinstance(twin, nn.Conv2d):
        twin.padding = (0, 0)
    return twin


def _time_call(compute: Callable[[], Tensor]) -> tuple[Tensor, float]:
    start = synchronized_time(())
    result = compute()
    return result, synchronized_time((result,)) - start
