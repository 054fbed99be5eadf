"""The published nets, written from their layer table."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Published(NamedTuple):
    """What distinguishes the published nets."""

    stride: int
    scales: Sequence[float]  # of pool4 and pool3
    crops: Sequence[int]  # of score_pool4, score_pool3 and the image


NETS = {
    "fcn32s_caffe": Published(32, (), (19,)),
    "fcn16s_caffe": Published(16, (1,), (5, 27)),
    "fcn8s_caffe": Published(8, (1, 1), (5, 9, 31)),
    "fcn8s_atonce_caffe": Published(8, (0.01, 0.0001), (5, 9, 31)),
}
CONVOLUTIONS = (2, 2, 3, 3, 3)


def reference(word: str, state: dict[str, Tensor], image: Tensor) -> Tensor:
    """The published net, from its layer table and its published crops."""
    net, x = NETS[word], 255 * image[:, [2, 1, 0]]
    x = x - torch.tensor([104.00699, 116.66877, 122.67892], dtype=torch.float64).view(3, 1, 1)

    def conv(name: str, x: Tensor, padding: int = 0) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=padding)

    def deconv(name: str, x: Tensor, stride: int) -> Tensor:
        return F.conv_transpose2d(x, state[f"{name}.weight"], stride=stride)

    pools = []
    for level, count in enumerate(CONVOLUTIONS, 1):
        for number in range(1, count + 1):
            first = (level, number) == (1, 1)
            x = F.relu(conv(f"conv{level}_{number}", x, padding=100 if first else 1))
        x = F.max_pool2d(x, 2, 2, ceil_mode=True)
        pools.append(x)
    score = conv("score_fr", F.relu(conv("fc7", F.relu(conv("fc6", x)))))
    climbs = ("upscore2", "upscore_pool4")
    for climb, level, scale, crop in zip(climbs, (4, 3), net.scales, net.crops, strict=False):
        score = deconv(climb, score, 2)
        h, w = score.shape[2:]
        skip = conv(f"score_pool{level}", scale * pools[level - 1])
        score = score + skip[:, :, crop : crop + h, crop : crop + w]
    score = deconv({32: "upscore", 16: "upscore16", 8: "upscore8"}[net.stride], score, net.stride)
    crop, (h, w) = net.crops[-1], image.shape[2:]
    return score[:, :, crop : crop + h, crop : crop + w]
