"""What a network costs by part: counted on the meta device, and measured on a real one.

Everything is for one image, with batch norm and dropout as in evaluation.
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

# torch gives its trees no public name
from torch.utils._pytree import tree_leaves

from fcn_lab.cost.macs import count_macs
from fcn_lab.cost.memory import StorageTracker
from fcn_lab.cost.parts import PARTS, PartCost, name_parts, watch_parts
from fcn_lab.geometry.meta import MetaRun, keep_modes
from fcn_lab.geometry.sizes import count_channels
from fcn_lab.upsampling import Upsampling

# a switch names one of four places in a 2×2 window
BITS_A_SWITCH = 2


def measure_parts(
    net: nn.Module,
    height: int,
    width: int,
    repeats: int = 2,
    costs: Mapping[str, PartCost] | None = None,
) -> dict[str, PartCost]:
    """Returns the cost of every part of a network, and of the whole under "total".

    Args:
        net: float (N,3,H,W) → (N,K,H,W) on the device to measure on; left in its modes.
        height: H.
        width: W.
        repeats: passes whose median counts, after one that does not; 0 measures nothing.
        costs: the result of an earlier call for this network; its counts are not made again.
    """
    with keep_modes(net):
        net.eval()
        if costs is None:
            parts, peak = count_parts(net, height, width)
        else:
            parts = {name: replace(costs[name], forward=0.0, backward=0.0) for name in PARTS}
            peak = costs["total"].peak
        if repeats:
            device = next(net.parameters()).device
            image = torch.rand(1, count_channels(net), height, width, device=device)
            time_parts(net, image, repeats, parts)
    total = sum(parts.values(), PartCost())
    total.peak = peak
    return {**parts, "total": total}


def combine_turns(turns: Sequence[Mapping[str, PartCost]]) -> dict[str, PartCost]:
    """Returns the counts of a network's parts, with the median of their times over turns.

    Args:
        turns: the result of `measure_parts` in each turn.
    """
    costs = {}
    for part, first in turns[0].items():
        forward, backward = ([getattr(t[part], n) for t in turns] for n in ("forward", "backward"))
        sums = [sum(pair) for pair in zip(forward, backward, strict=True)]
        costs[part] = replace(
            first,
            forward=statistics.median(forward),
            backward=statistics.median(backward),
            fastest=min(sums),
            slowest=max(sums),
        )
    return costs


def count_parts(net: nn.Module, height: int, width: int) -> tuple[dict[str, PartCost], int]:
    """Counts everything that needs no clock, on the meta device.

    Returns the cost of each part, and the most bytes alive at once.
    """
    parts, stack = {part: PartCost() for part in PARTS}, ["head"]
    names = name_parts(net)
    for name, parameter in net.named_parameters():
        parts[names[name.rpartition(".")[0]]].params += parameter.numel()
    run = MetaRun.prepare(net, height, width)
    storages = run.storages

    def enter(part: str, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if isinstance(module, Upsampling) and module.uses_switches:
            windows = sum(level.numel() for level in tree_leaves(arguments[1]))
            parts[part].switches += windows * BITS_A_SWITCH // 8
            parts[part].maps += 4 * windows * torch.float32.itemsize
        stack.append(part)

    def write(size: int) -> None:
        if stack:
            parts[stack[-1]].activations += size

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in storages:
            storages.add(storage._cdata)
            parts[stack[-1]].kept += storage.nbytes()
        return tensor

    assign_macs(count_macs(run), names, parts)
    with StorageTracker(run.storages, write) as memory:
        with watch_parts(net, enter, stack), saved_tensors_hooks(keep, lambda tensor: tensor):
            scores = run.start()
        stack.clear()
        scores.sum().backward()  # type: ignore[no-untyped-call]
    return parts, memory.peak


def assign_macs(
    counts: Mapping[str, int], names: Mapping[str, str], parts: Mapping[str, PartCost]
) -> None:
    """Adds every module's MACs, without those of its submodules, to the part it belongs to."""
    for name, macs in counts.items():
        parts[names[name]].macs += macs
        parent = name.rpartition(".")[0]
        # a list of modules is never called itself
        while parent and not counts[parent]:
            parent = parent.rpartition(".")[0]
        if name:
            parts[names[parent]].macs -= macs


def time_parts(net: nn.Module, image: Tensor, repeats: int, parts: dict[str, PartCost]) -> None:
    """Adds the median seconds of each part, forward and backward, to `parts`.

    Where the forward pass enters another part, the module it enters is timed alone with the same
    arguments, and its time is subtracted from that of the part around it.
    """
    # entries: the part, the part around it, and what was called
    calls: list[tuple[str, str, nn.Module, tuple[Any, ...]]] = []
    stack = [""]

    def enter(part: str, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if part != stack[-1]:
            calls.append((part, stack[-1], module, arguments))
        stack.append(part)

    with watch_parts(net, enter, stack):
        net(image)
    for part, parent, module, arguments in calls:
        forward, backward = time_module(module, arguments, repeats)
        parts[part].forward += forward
        parts[part].backward += backward
        if parent:
            parts[parent].forward -= forward
            parts[parent].backward -= backward
    # the difference of two measurements may be below zero
    for cost in parts.values():
        cost.forward, cost.backward = max(cost.forward, 0.0), max(cost.backward, 0.0)


def time_module(module: nn.Module, arguments: tuple[Any, ...], repeats: int) -> tuple[float, float]:
    """Returns median seconds of a forward and a backward pass, after one untimed pass."""
    forward, backward = [], []
    for _ in range(repeats + 1):
        inputs = [
            x.detach().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x
            for x in arguments
        ]
        start = synchronized_time(arguments)
        outputs = [y for y in tree_leaves(module(*inputs)) if y.requires_grad]
        middle = synchronized_time(arguments)
        if outputs:
            torch.autograd.backward(outputs, [torch.ones_like(y) for y in outputs])
        forward.append(middle - start)
        backward.append(synchronized_time(arguments) - middle)
        module.zero_grad()
    return statistics.median(forward[1:]), statistics.median(backward[1:])


@torch.inference_mode()
def time_pass(net: nn.Module, height: int, width: int) -> float:
    """Returns the seconds of one forward pass of one image, on the network's device."""
    image = torch.rand(1, count_channels(net), height, width, device=next(net.parameters()).device)
    start = synchronized_time((image,))
    net(image)
    return synchronized_time((image,)) - start


def synchronized_time(arguments: tuple[Any, ...]) -> float:
    """Returns the clock's seconds once the device has finished its work."""
    if any(isinstance(x, Tensor) and (x.is_cuda or x.is_mps) for x in arguments):
        torch.accelerator.synchronize()
    return time.perf_counter()
