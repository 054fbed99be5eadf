"""What a network costs: parameters, and multiply-accumulates for one image."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fcn_lab.geometry.meta import MetaRun


@dataclass(frozen=True)
class Cost:
    """The parameters and multiply-accumulates of one network at one input size."""

    params: int
    macs: int


def count_cost(net: nn.Module, height: int, width: int) -> Cost:
    """Counts parameters and MACs on the meta device, without computing or allocating.

    Args:
        net: float (N,3,H,W) → (N,K,H,W); left in its modes.
        height: H.
        width: W.
    """
    macs = count_macs(MetaRun.prepare(net, height, width))[""]
    return Cost(sum(p.numel() for p in net.parameters()), macs)


def count_macs(run: MetaRun) -> dict[str, int]:
    """Returns the multiply-accumulates of each module, with those inside it, by its name."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run.start()
    root = type(run.net).__name__
    counts = {
        name: sum(counter.get_flop_counts().get(f"{root}.{name}".rstrip("."), {}).values()) // 2
        for name, _ in run.net.named_modules()
    }
    return {**counts, "": counter.get_total_flops() // 2}
