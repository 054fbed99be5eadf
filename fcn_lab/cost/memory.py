"""How much memory a pass takes, counted on the meta device without taking it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, UntypedStorage, nn

# torch gives its operators no public name
from torch._ops import OpOverload
from torch.multiprocessing.reductions import StorageWeakRef

# torch gives its dispatch modes and its trees no public names
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fcn_lab.geometry.meta import MetaRun


class StorageTracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the largest number of bytes alive at once, and reports every new storage.

    Args:
        ignored_storages: storages that are not counted.
        on_write: called with the bytes of each new one.
    """

    def __init__(
        self, ignored_storages: set[int], on_write: Callable[[int], None] = lambda size: None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ignored_storages, self.on_write = ignored_storages, on_write
        # a weak reference keeps the address from being used again
        self.live_storages: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        output = func(*args, **(kwargs or {}))
        self.live_storages = {
            key: entry
            for key, entry in self.live_storages.items()
            if not entry[0].expired()  # type: ignore[no-untyped-call]
        }
        for storage in (x.untyped_storage() for x in tree_leaves(output) if isinstance(x, Tensor)):
            if (
                storage._cdata not in self.ignored_storages
                and storage._cdata not in self.live_storages
            ):
                self.hold(storage)
                self.on_write(storage.nbytes())
        self.peak = max(self.peak, sum(size for _, size in self.live_storages.values()))
        return output

    def hold(self, storage: UntypedStorage) -> None:
        """Counts a storage for as long as it lives."""
        reference = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
        self.live_storages[storage._cdata] = (reference, storage.nbytes())


def count_peak_bytes(net: nn.Module, height: int, width: int) -> int:
    """Returns the most bytes of feature maps alive at once while one image is scored.

    The image counts; parameters and the working memory of kernels do not. The number is the same
    on every machine.

    Args:
        net: float (N,3,H,W) → one tensor.
        height: H.
        width: W.
    """
    run = MetaRun.prepare(net, height, width)
    image = run.image.untyped_storage()
    tracker = StorageTracker(run.storages - {image._cdata})
    tracker.hold(image)
    with tracker, torch.no_grad():
        run.start()
    return tracker.peak
