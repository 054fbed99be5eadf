"""Settings of the processes that read ahead of the network."""

import sys
from typing import TypedDict

from fcn_lab.training.machine import count_cores

# more workers slow each other down, and each takes memory
WORKERS_PER_CORE = 4
# enough to read ahead of one GPU, whatever the augmentation
WORKERS_PER_GPU = 8


class LoaderSettings(TypedDict):
    """Arguments of torch's DataLoader that no score depends on."""

    num_workers: int
    pin_memory: bool
    persistent_workers: bool
    multiprocessing_context: str | None


def settle_loader(count: int | None, on_gpu: bool, ranks: int = 1) -> LoaderSettings:
    """Returns the loader's settings for this machine.

    Args:
        count: how many workers; None starts none where the network itself needs the cores. Beside a
            GPU, which would wait for the augmentation, it uses a rank's share of the cores.
        on_gpu: whether the network computes on a GPU.
        ranks: number of ranks that share this machine.
    """
    share = min(WORKERS_PER_GPU, max(1, count_cores() // ranks - 1)) if on_gpu else 0
    workers = share if count is None else min(count, max_workers())
    return LoaderSettings(
        num_workers=workers,
        pin_memory=on_gpu,
        persistent_workers=workers > 0,
        # a fork shares the mapped frames; other ways of starting, Python's own on Linux from 3.14
        # on, send every worker a copy of them
        multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
    )


def explain_loader(count: int | None) -> list[str]:
    """Returns a line where fewer workers are started than were asked for, else no line."""
    if count is None or count <= max_workers():
        return []
    return [
        f"data.num_workers={count}: {max_workers()} are started, "
        f"{WORKERS_PER_CORE} a core, of which there are {count_cores()} here"
    ]


def max_workers() -> int:
    """Returns the largest number of workers that one rank gets."""
    return WORKERS_PER_CORE * count_cores()
