"""How many processes read ahead of the network, and how they are started."""

import sys
from typing import TypedDict

from fcn_lab.training.machine import count_cores

A_CORE = 4  # more only fight for it, and each takes memory
ENOUGH = 8  # read ahead of any one GPU, whatever the augmentation


class LoaderSettings(TypedDict):
    """Arguments of torch's DataLoader that no score depends on."""

    num_workers: int
    pin_memory: bool
    persistent_workers: bool
    multiprocessing_context: str | None


def settle_loader(asked: int | None, on_gpu: bool, ranks: int = 1) -> LoaderSettings:
    """What suits this machine.

    Args:
        asked: how many workers; None for none beside a network that needs the cores itself, and for
            what a rank has of them beside a GPU, which would wait for the augmentation else.
        on_gpu: where the network computes.
        ranks: that share this machine.
    """
    share = min(ENOUGH, max(1, count_cores() // ranks - 1)) if on_gpu else 0
    workers = share if asked is None else min(asked, most_workers())
    return LoaderSettings(
        num_workers=workers,
        pin_memory=on_gpu,
        persistent_workers=workers > 0,
        # a fork shares the mapped frames; other ways of starting, Python's own on Linux from 3.14
        # on, send every worker a copy of them
        multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
    )


def explain_loader(asked: int | None) -> list[str]:
    """A line where fewer workers than asked for are started."""
    if asked is None or asked <= most_workers():
        return []
    return [
        f"data.num_workers={asked}: {most_workers()} are started, "
        f"{A_CORE} for each of the {count_cores()} cores here"
    ]


def most_workers() -> int:
    """As many as one rank is given."""
    return A_CORE * count_cores()
