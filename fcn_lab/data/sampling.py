"""Chooses which frames a rank sees, and in what order. Legend: n frames, world ranks, H W sizes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch.utils.data import Sampler

from fcn_lab.data.seeds import seed_of

T = TypeVar("T")


class EpochSampler(Sampler[T]):
    """Draws the order of each epoch from seed and epoch alone, and may start within one.

    Args:
        batch_size: frames of a batch.
        seed: decides the order.
        rank: whose part is yielded.
        world: the number of ranks.
    """

    def __init__(self, batch_size: int, seed: int, rank: int, world: int) -> None:
        self._batch_size, self._seed = batch_size, seed
        self._rank, self._world = rank, world
        self._epoch = 0
        self._resume_point = (0, 0)

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch of the next iteration."""
        self._epoch = epoch

    def resume(self, epoch: int, batches: int) -> None:
        """Starts this epoch after so many batches of this rank."""
        self._epoch = epoch
        self._resume_point = (epoch, batches)

    def _count_batches_done(self) -> int:
        epoch, batches = self._resume_point
        return batches if epoch == self._epoch else 0

    def _create_generator(self, epoch: int) -> torch.Generator:
        return torch.Generator().manual_seed(seed_of(self._seed, epoch))


class TrainSampler(EpochSampler[tuple[int, int]]):
    """Yields shuffled (epoch, index) pairs, sharded over ranks and cut to whole batches.

    The order is a function of (seed, epoch); rank r takes every world-th entry, so that a batch
    over all ranks holds the same frames whatever their number. Lightning calls ``set_epoch``. After
    ``resume`` the named epoch starts behind the batches that were done, while the length stays that
    of the whole epoch, as Lightning counts on.
    """

    def __init__(
        self, n: int, batch_size: int, seed: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        super().__init__(batch_size, seed, rank, world)
        self._n = n

    def __len__(self) -> int:
        return self._n // (self._batch_size * self._world) * self._batch_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self._epoch
        order = torch.randperm(self._n, generator=self._create_generator(epoch)).tolist()
        start = self._count_batches_done() * self._batch_size
        indices = order[self._rank :: self._world][start : len(self)]
        return iter([(epoch, index) for index in indices])


class EqualSizeSampler(EpochSampler[list[tuple[int, int]]]):
    """Yields shuffled batches of (epoch, index) pairs, each of frames of one size, over all ranks.

    The last batch of a size may be smaller, so that no frame is left out, except where ranks have
    to get equal numbers of batches. Order and resumption are those of ``TrainSampler``.

    Args:
        sizes: (H,W) of the n frames.
        batch_size: the most frames of a batch.
        seed: decides the order.
        rank: the rank whose batches are yielded.
        world: the number of ranks.
    """

    def __init__(
        self,
        sizes: Sequence[tuple[int, int]],
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        super().__init__(batch_size, seed, rank, world)
        self._sizes = sizes

    @property
    def sampler(self) -> "EqualSizeSampler":
        """Returns itself, since Lightning sets the epoch on the sampler inside a batch sampler."""
        return self

    def __len__(self) -> int:
        return len(self._draw_batches(0)) // self._world

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, batches = self._epoch, self._draw_batches(self._epoch)
        start, end = self._count_batches_done(), len(batches) // self._world
        own_batches = batches[self._rank :: self._world][start:end]
        return iter([[(epoch, index) for index in batch] for batch in own_batches])

    def _draw_batches(self, epoch: int) -> list[list[int]]:
        generator = self._create_generator(epoch)
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index in torch.randperm(len(self._sizes), generator=generator).tolist():
            groups[self._sizes[index]].append(index)
        batches = [
            group[start : start + self._batch_size]
            for group in groups.values()
            for start in range(0, len(group), self._batch_size)
        ]
        return [batches[k] for k in torch.randperm(len(batches), generator=generator).tolist()]


class EvalSampler(Sampler[int]):
    """Yields every index once over all ranks.

    Nothing is padded, so a score does not depend on the number of ranks.
    """

    def __init__(self, n: int, rank: int = 0, world: int = 1) -> None:
        self._indices = range(rank, n, world)

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)
