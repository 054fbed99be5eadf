"""A network on torch's meta device: its tensors have sizes and no values, so a pass costs nothing.

Such a pass is watched to count MACs and bytes in ``fcn_lab.cost``, and to find the places of maps
in ``trace``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fcn_lab.geometry.sizes import count_channels


@dataclass(frozen=True)
class MetaRun:
    """One image's pass through a network in evaluation mode.

    Attributes:
        net: float (N,3,H,W) → one tensor; left in its modes and on its device.
        state: its parameters and buffers without their values.
        image: (1,C,H,W), C as the network takes, of the parameters' type.
    """

    net: nn.Module
    state: dict[str, Tensor]
    image: Tensor

    @classmethod
    def prepare(cls, net: nn.Module, height: int, width: int) -> "MetaRun":
        """Prepares the state and the image; `start` then runs the pass, any number of times."""
        dtype = next((p.dtype for p in net.parameters()), torch.float32)
        image = torch.empty(1, count_channels(net), height, width, device="meta", dtype=dtype)
        return cls(net, move_state_to_meta(net), image)

    def start(self) -> Tensor:
        """Runs the pass and returns what the network returns."""
        with keep_modes(self.net):
            # batch normalisation in training refuses one image of one pixel
            self.net.eval()
            output: Tensor = functional_call(self.net, self.state, (self.image,))
        return output

    @property
    def storages(self) -> set[int]:
        """Returns the storages that are there before the pass."""
        return {x.untyped_storage()._cdata for x in (*self.state.values(), self.image)}


@contextmanager
def keep_modes(net: nn.Module) -> Iterator[None]:
    """Puts every module back into the mode, training or evaluation, that it is in at the start."""
    modes = {module: module.training for module in net.modules()}
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def move_state_to_meta(net: nn.Module) -> dict[str, Tensor]:
    """Returns a network's parameters and buffers as leaves on the meta device, by name."""
    state = {name: buffer.to("meta") for name, buffer in net.named_buffers()}
    for name, parameter in net.named_parameters():
        state[name] = parameter.detach().to("meta").requires_grad_(parameter.requires_grad)
    return state
