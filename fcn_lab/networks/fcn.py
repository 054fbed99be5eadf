"""The fully convolutional network: one class, one number.

Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015 and
PAMI 2017. The steps carry the names of the published nets; strides 32, 16 and 8 are the paper's, 4
and 2 go on in the same way.

    stride 32   head ─ score_fr ───────────────────────────────────────────── upscore ×32
    stride 16   head ─ score_fr ─ upscore2 ×2 ─ + score_pool4(pool4) ──────── upscore ×16
    stride 8    …                 fuse_pool4 ─ upscore_pool4 ×2 ─ + score_pool3(pool3) ─ upscore ×8

Legend: N batch, K classes, H W image size; /s means a map at stride s.
"""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from fcn_lab.encoders.base import LEVELS, STRIDE, Encoder, Features
from fcn_lab.encoders.full_precision import build_score
from fcn_lab.errors import UserError
from fcn_lab.geometry.alignment import Alignment, PadOnce
from fcn_lab.upsampling import Upsampling
from fcn_lab.values import Width, check_arguments

UpsamplingFactory = Callable[[int, int], Upsampling]
PAD_ONCE = PadOnce(STRIDE)


@check_arguments
class FCN(nn.Module):
    """Upsamples scores from stride 32 to the image and adds the scores of finer pools on the way.

    Scores leave in float32. Under bf16 autocast the last climb takes float32 too and computes in
    it where torch interpolates or samples, but in bf16 where it convolves: there scores of a pixel
    may tie. In float32 a training step with refined convolutions takes a tenth longer on a CPU.

    Args:
        encoder: computes the pools and the head.
        upsample: builds an operator from (channels, factor); one is built for every step.
        num_classes: K.
        stride: stride of the finest scores fused: 32 (none), 16 (pool4), 8 (pool3), 4 (pool2) or
            2 (pool1).
        alignment: how maps are brought over each other.
        scales: what the fused pools are multiplied by before they are scored, coarse first; 1 where
            none is given. (0.01, 0.0001) trains FCN-8s all at once.
        skips: False keeps every layer and climb but multiplies the pools by 0: the same net with
            no way from them to the scores, nor back.

    Raises:
        UserError: the stride is none of these.
    """

    def __init__(
        self,
        encoder: Encoder,
        upsample: UpsamplingFactory,
        num_classes: Width,
        stride: int,
        alignment: Alignment = PAD_ONCE,
        scales: Sequence[float] = (),
        skips: bool = True,
    ) -> None:
        super().__init__()
        strides = [STRIDE >> fused_pools for fused_pools in range(LEVELS)]
        if stride not in strides:
            raise UserError(
                f"model.stride={stride}: expected one of {', '.join(map(str, strides))}"
            )
        self.encoder, self.alignment, self.stride = encoder, alignment, stride
        self.upsample, self.num_classes = upsample, num_classes
        self.score_fr = build_score(encoder.head_channels, num_classes)
        # (level fused, name of the climb to it), coarse first
        self.skips: list[tuple[int, str]] = []
        climb = "upscore2"
        for level in range(LEVELS - 1, stride.bit_length() - 2, -1):
            self.add_module(climb, upsample(num_classes, 2))
            self.add_module(
                f"score_pool{level}", build_score_pool(encoder.channels[level - 1], num_classes)
            )
            self.skips.append((level, climb))
            climb = f"upscore_pool{level}"
        self.upscore = upsample(num_classes, stride)
        self.scales = [*scales, *[1.0] * LEVELS] if skips else [0.0] * LEVELS

    def forward(self, x: Tensor) -> Tensor:
        """Maps RGB in 0…1 (N, 3, H, W) to scores (N, K, H, W), for any H, W ≥ 1."""
        score, features, level = self.coarse_scores(self.encoder.normalize(x))
        scores = climb_levels(self.upscore, score, features.switches, range(level, 0, -1))
        return raise_precision(self.alignment.leave(scores, x))

    def coarse_scores(self, x: Tensor) -> tuple[Tensor, Features, int]:
        """Maps normalised (N, 3, H, W) to scores before the last climb, (N, K, /2^level).

        Returns the scores, the encoder's features, and the level of the scores.
        """
        features = self.encoder(self.alignment.enter(x))
        score, score_level = self.score_fr(features.head), LEVELS  # (N, K, /32)
        for (level, climb), scale in zip(self.skips, self.scales, strict=False):
            upscore = climb_levels(getattr(self, climb), score, features.switches, [level + 1])
            pool = features.pools[level - 1]
            skip = getattr(self, f"score_pool{level}")(pool * scale if scale != 1 else pool)
            score = self.fuse(upscore, self.alignment.skip(level, skip, upscore))  # /2^level
            score_level = level
        # laid out as N C H W in memory, which makes the last climb faster
        return raise_precision(score).contiguous(), features, score_level

    def fuse(self, upscore: Tensor, score_pool: Tensor) -> Tensor:
        """Returns the sum of the paper's fuse_pool: (N, K, /s) twice -> (N, K, /s)."""
        return upscore + score_pool


def coarsen(net: FCN, stride: int) -> FCN:
    """Returns the net without its finer skips, made of copies of its encoder and score_fr."""
    encoder, alignment = deepcopy(net.encoder), net.alignment.at_stride(stride)
    coarse = FCN(encoder, net.upsample, net.num_classes, stride, alignment, net.scales)
    coarse.score_fr.load_state_dict(net.score_fr.state_dict())
    return coarse


def build_score_pool(channels: int, num_classes: int) -> nn.Conv2d:
    """Returns a skip's score layer; it is zero at first, so a net starts as the coarser one."""
    conv = nn.Conv2d(channels, num_classes, 1)
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def raise_precision(score: Tensor) -> Tensor:
    """Returns scores in float32 or better."""
    return score.to(torch.promote_types(score.dtype, torch.float32))


def climb_levels(
    operator: nn.Module, x: Tensor, find_switches: Callable[[int], Tensor], levels: Iterable[int]
) -> Tensor:
    """Runs one climb (N, C, h, w) -> (N, C, h·f, w·f) of any network.

    Args:
        operator: an `Upsampling`.
        x: the map to upsample.
        find_switches: returns the switches of a level; called where the operator uses them.
        levels: the levels that it climbs over, coarse first.
    """
    switches = [find_switches(level) for level in levels] if operator.uses_switches else None
    output: Tensor = operator(x, switches)
    return output
