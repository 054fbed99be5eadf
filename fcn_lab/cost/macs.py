"""What a network costs: parameters, and multiply-accumulates for one image."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Cost:
    """The parameters and multiply-accumulates of one network at one input size."""

    params: int
    macs: int


def count_cost(net: nn.Module, height: int, width: int) -> Cost:
    """Counts parameters and MACs on the meta device, without computing or allocating.

    Args:
        net: float (N,3,H,W) → (N,K,H,W); left in its mode.
        height: H.
        width: W.
    """
    image = torch.empty(1, 3, height, width, device="meta")
    training = net.training
    net.eval()  # batch normalisation in training refuses one image of one pixel
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        functional_call(net, move_state_to_meta(net), (image,))
    net.train(training)
    return Cost(sum(p.numel() for p in net.parameters()), counter.get_total_flops() // 2)


def move_state_to_meta(net: nn.Module) -> dict[str, Tensor]:
    """Returns the network's state on the meta device: shapes without values."""
    state = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    return {name: tensor.to("meta") for name, tensor in state.items()}
