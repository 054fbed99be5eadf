"""What a network costs by part: counted on the meta device, and measured on a real one.

Everything is for one image, with batch norm and dropout as in evaluation.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from fcn_lab.cost.parts import PARTS, Bill, part_names, watched
from fcn_lab.upsampling import Upsampling

BITS_A_SWITCH = 2  # four places in a 2×2 window


def bill(net: nn.Module, height: int, width: int, repeats: int = 2) -> dict[str, Bill]:
    """Every part and the total.

    Args:
        net: float (N,3,H,W) → (N,K,H,W) on the device to measure on; left in its mode.
        height: H.
        width: W.
        repeats: passes whose median counts, after one that does not; 0 measures nothing.
    """
    training = net.training
    net.eval()
    parts, peak = counted(net, height, width)
    if repeats:
        image = torch.rand(1, 3, height, width, device=next(net.parameters()).device)
        measure(net, image, repeats, parts)
    net.train(training)
    total = sum(parts.values(), Bill())
    total.peak = peak
    return {**parts, "total": total}


class Memory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tells ``written`` of every storage that an operation makes; knows the most held at once."""

    def __init__(self, known: set[int], written: Callable[[int], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.known, self.written = known, written
        self.held: dict[int, tuple[StorageWeakRef, int]] = {}  # a weak reference keeps the address
        self.peak = 0

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.held = {
            key: entry
            for key, entry in self.held.items()
            if not entry[0].expired()  # type: ignore[no-untyped-call]
        }
        for storage in (x.untyped_storage() for x in tree_leaves(out) if isinstance(x, Tensor)):
            if storage._cdata not in self.known and storage._cdata not in self.held:
                reference = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
                self.held[storage._cdata] = (reference, storage.nbytes())
                self.written(storage.nbytes())
        self.peak = max(self.peak, sum(size for _, size in self.held.values()))
        return out


def counted(net: nn.Module, height: int, width: int) -> tuple[dict[str, Bill], int]:
    """Everything that needs no clock, on the meta device; and the most bytes held at once."""
    parts, stack = {part: Bill() for part in PARTS}, ["head"]
    names = part_names(net)
    for name, parameter in net.named_parameters():
        parts[names[name.rpartition(".")[0]]].params += parameter.numel()
    ghosts: dict[str, Tensor] = {name: x.to("meta") for name, x in net.named_buffers()}
    for name, parameter in net.named_parameters():
        ghosts[name] = parameter.detach().to("meta").requires_grad_(parameter.requires_grad)
    image = torch.empty(1, 3, height, width, device="meta")
    known = {x.untyped_storage()._cdata for x in (*ghosts.values(), image)}
    kept = set(known)

    def enter(part: str, module: nn.Module, given: tuple[Any, ...]) -> None:
        if isinstance(module, Upsampling) and module.uses_switches:
            windows = sum(level.numel() for level in tree_leaves(given[1]))
            parts[part].switches += windows * BITS_A_SWITCH // 8
            parts[part].maps += 4 * windows * torch.float32.itemsize
        stack.append(part)

    def write(size: int) -> None:
        if stack:
            parts[stack[-1]].activations += size

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in kept:
            kept.add(storage._cdata)
            parts[stack[-1]].kept += storage.nbytes()
        return tensor

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        functional_call(net, ghosts, (image,))
    share_out(counter, type(net).__name__, names, parts)
    with Memory(known, write) as memory:
        with watched(net, enter, stack), saved_tensors_hooks(keep, lambda tensor: tensor):
            scores = functional_call(net, ghosts, (image,))
        stack.clear()
        scores.sum().backward()
    return parts, memory.peak


def share_out(
    counter: FlopCounterMode, root: str, names: dict[str, str], parts: dict[str, Bill]
) -> None:
    """Gives every module's operations, less those of the modules in it, to its part."""
    counts = {
        name: sum(counter.get_flop_counts().get(f"{root}.{name}".rstrip("."), {}).values()) // 2
        for name in names
    }
    for name, macs in counts.items():
        parts[names[name]].macs += macs
        above = name.rpartition(".")[0]
        while above and not counts[above]:  # a list of modules is never called itself
            above = above.rpartition(".")[0]
        if name:
            parts[names[above]].macs -= macs


def measure(net: nn.Module, image: Tensor, repeats: int, parts: dict[str, Bill]) -> None:
    """The median seconds of each part, forward and backward.

    Where the forward pass goes from one part to another, the module it enters is timed alone on
    what it was given, and its time taken off that of the part around it.
    """
    calls: list[tuple[str, str, nn.Module, tuple[Any, ...]]] = []  # part, part around it, …
    stack = [""]

    def enter(part: str, module: nn.Module, given: tuple[Any, ...]) -> None:
        if part != stack[-1]:
            calls.append((part, stack[-1], module, given))
        stack.append(part)

    with watched(net, enter, stack):
        net(image)
    for part, around, module, given in calls:
        forward, backward = seconds(module, given, repeats)
        parts[part].forward += forward
        parts[part].backward += backward
        if around:
            parts[around].forward -= forward
            parts[around].backward -= backward
    for one in parts.values():  # what is left between two measurements may be less than nothing
        one.forward, one.backward = max(one.forward, 0.0), max(one.backward, 0.0)


def seconds(module: nn.Module, given: tuple[Any, ...], repeats: int) -> tuple[float, float]:
    """Median seconds of a forward and of a backward pass, after one that does not count."""
    forward, backward = [], []
    for _ in range(repeats + 1):
        inputs = [
            x.detach().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x
            for x in given
        ]
        start = now(given)
        outputs = [y for y in tree_leaves(module(*inputs)) if y.requires_grad]
        middle = now(given)
        if outputs:
            torch.autograd.backward(outputs, [torch.ones_like(y) for y in outputs])
        forward.append(middle - start)
        backward.append(now(given) - middle)
        module.zero_grad()
    return statistics.median(forward[1:]), statistics.median(backward[1:])


def now(given: tuple[Any, ...]) -> float:
    """The clock, once the device has done what it was asked to."""
    if any(isinstance(x, Tensor) and x.is_cuda for x in given):
        torch.cuda.synchronize()
    return time.perf_counter()
