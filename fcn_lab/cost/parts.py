"""The parts of a network, what each of them costs, and a way to watch them at work.

The parts are the ``encoder``, the ``head`` (fc6 and fc7, score layers, decoders) and the
``upsampling`` (the operators).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from fcn_lab.upsampling import Upsampling

PARTS = ("encoder", "head", "upsampling")


@dataclass
class PartCost:
    """The cost of one part of a network for one image.

    Args:
        params: parameters.
        macs: multiply-accumulates of the forward pass.
        activations: bytes that the forward pass writes.
        kept: those of the bytes that it keeps for the backward pass.
        switches: bytes of the switches at two bits a window.
        maps: bytes of the float32 maps that the switches stand for.
        forward: seconds.
        backward: seconds.
        fastest: seconds of both together in the fastest of several turns, 0 where there were none.
        slowest: seconds of both together in the slowest of several turns, 0 where there were none.
        peak: bytes of tensors held at most during both, gradients too, weights not; of the total.
    """

    params: int = 0
    macs: int = 0
    activations: int = 0
    kept: int = 0
    switches: int = 0
    maps: int = 0
    forward: float = 0.0
    backward: float = 0.0
    fastest: float = 0.0
    slowest: float = 0.0
    peak: int = 0

    def __add__(self, other: "PartCost") -> "PartCost":
        """Returns the sum, field by field."""
        return PartCost(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def name_parts(net: nn.Module) -> dict[str, str]:
    """Returns the part that each module belongs to, by module name."""
    parts: dict[str, str] = {}
    for name, module in net.named_modules():
        parent, _, child = name.rpartition(".")
        part = parts.get(parent, "head")
        if isinstance(module, Upsampling):
            part = "upsampling"
        elif part == "encoder" and child in ("head", "fc6", "fc7"):
            part = "head"
        elif child in ("encoder", "normalize") and part == "head":
            part = "encoder"
        parts[name] = part
    return parts


@contextmanager
def watch_parts(
    net: nn.Module, enter: Callable[[str, nn.Module, Any], None], stack: list[str]
) -> Iterator[None]:
    """Calls ``enter(part, module, arguments)`` before every module's forward.

    After the forward, pops the last entry of `stack`.
    """
    handles: list[RemovableHandle] = []
    for name, part in name_parts(net).items():
        module = net.get_submodule(name)
        handles += [
            module.register_forward_pre_hook(
                lambda module, arguments, part=part: enter(part, module, arguments)
            ),
            module.register_forward_hook(lambda *_: leave(stack)),
        ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def leave(stack: list[str]) -> None:
    """Removes from the stack the part that the forward pass has left."""
    stack.pop()
