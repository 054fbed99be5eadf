"""Chooses which frames a rank sees, and in what order. n frames, world ranks."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from fcn_lab.data.seeds import seed_of


class TrainSampler(Sampler[tuple[int, int]]):
    """Yields shuffled (epoch, index) pairs, sharded over ranks and cut to whole batches.

    The order is a function of (seed, epoch); rank r takes every world-th entry, so that a batch
    over all ranks holds the same frames whatever their number. Lightning calls ``set_epoch``. After
    ``resume`` the named epoch starts behind the batches that were done, while the length stays that
    of the whole epoch, as Lightning counts on.
    """

    def __init__(
        self, n: int, batch_size: int, seed: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        self._n = n
        self._batch_size = batch_size
        self._seed = seed
        self._rank = rank
        self._world = world
        self._epoch = 0
        self._resumed = (0, 0)

    def __len__(self) -> int:
        return self._n // (self._batch_size * self._world) * self._batch_size

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch of the next iteration."""
        self._epoch = epoch

    def resume(self, epoch: int, batches: int) -> None:
        """Starts this epoch after so many batches of this rank."""
        self._epoch = epoch
        self._resumed = (epoch, batches)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self._epoch
        generator = torch.Generator().manual_seed(seed_of(self._seed, epoch))
        order = torch.randperm(self._n, generator=generator).tolist()
        done = self._resumed[1] * self._batch_size if self._resumed[0] == epoch else 0
        mine = order[self._rank :: self._world][done : len(self)]
        return iter([(epoch, index) for index in mine])


class EvalSampler(Sampler[int]):
    """Yields every index once over all ranks.

    Nothing is padded, so a score does not depend on their number.
    """

    def __init__(self, n: int, rank: int = 0, world: int = 1) -> None:
        self._indices = range(rank, n, world)

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)
