"""Every upsampling operator, and switches for it to look at."""

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

from fcn_lab.config.build import locate
from fcn_lab.upsampling import Upsampling
from support.places import CONF

# a class in fcn_lab/ and its YAML are enough for an operator to be tested
_TARGETS = {yaml.safe_load(f.read_text())["_target_"] for f in CONF.glob("upsample/*.yaml")}
OPERATORS: list[type[Upsampling]] = [
    locate(target, "upsample")  # type: ignore[misc]
    for target in sorted(_TARGETS)
]

# each with each form that it has
FORMS = [
    (operator, refine)
    for operator in OPERATORS
    for refine in ("none", "conv", *(() if operator.sparse else ("conv_first",)))
]
REFINED_FORMS = [(operator, refine) for operator, refine in FORMS if refine != "none"]


def switches_of(finest: Tensor, levels: int) -> list[Tensor]:
    """The pooling positions of `levels` max pools of `finest`, coarse first."""
    found: list[Tensor] = []
    for _ in range(levels):
        finest, indices = F.max_pool2d(finest, 2, return_indices=True)
        found.insert(0, indices)
    return found


def random_switches(x: Tensor, factor: int, channels: int) -> list[Tensor]:
    n, _, h, w = x.shape
    finest = torch.randn(
        n, channels, h * factor, w * factor, generator=torch.Generator().manual_seed(1)
    )
    return switches_of(finest, factor.bit_length() - 1)
