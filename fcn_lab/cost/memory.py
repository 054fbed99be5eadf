"""How much memory a forward pass takes, counted without taking it."""

import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

# torch gives its operators, dispatch modes and trees no public names
from torch._ops import OpOverload
from torch.func import functional_call

# likewise
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def count_peak_bytes(net: nn.Module, height: int, width: int) -> int:
    """Returns the most bytes of feature maps alive at once while one image is scored.

    Counted on the meta device, so it is the same on every machine; parameters, and what a kernel
    takes for itself, are not in it.

    Args:
        net: float (N,3,H,W) → one tensor, in evaluation mode.
        height: H.
        width: W.
    """
    state = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    ghosts = {name: tensor.to("meta") for name, tensor in state.items()}
    dtype = next((p.dtype for p in net.parameters()), torch.float32)
    watch = _PeakTracker(list(ghosts.values()))
    with watch, torch.no_grad():
        image = torch.empty(1, 3, height, width, device="meta", dtype=dtype)
        functional_call(net, ghosts, (image,))
    return watch.peak


class _PeakTracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, known: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.users: Counter[int] = Counter(t.untyped_storage()._cdata for t in known)
        self.seen: set[int] = set()
        self.now = self.peak = 0

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        for out in tree_leaves(result):
            if isinstance(out, Tensor) and id(out) not in self.seen:
                self._add(out)
        return result

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        self.seen.add(id(tensor))
        self.now += 0 if self.users[key] else size
        self.users[key] += 1
        self.peak = max(self.peak, self.now)
        weakref.finalize(tensor, self._drop, id(tensor), key, size)

    def _drop(self, tensor: int, key: int, size: int) -> None:
        self.seen.discard(tensor)
        self.users[key] -= 1
        self.now -= 0 if self.users[key] else size
