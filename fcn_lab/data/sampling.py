"""Chooses which frames a rank sees, and in what order. Legend: n frames, world ranks, H W sizes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

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
        self._resume_point = (0, 0)

    def __len__(self) -> int:
        return self._n // (self._batch_size * self._world) * self._batch_size

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch of the next iteration."""
        self._epoch = epoch

    def resume(self, epoch: int, batches: int) -> None:
        """Starts this epoch after so many batches of this rank."""
        self._epoch = epoch
        self._resume_point = (epoch, batches)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self._epoch
        generator = torch.Generator().manual_seed(seed_of(self._seed, epoch))
        order = torch.randperm(self._n, generator=generator).tolist()
        start = self._resume_point[1] * self._batch_size if self._resume_point[0] == epoch else 0
        indices = order[self._rank :: self._world][start : len(self)]
        return iter([(epoch, index) for index in indices])


class EqualSizeSampler(Sampler[list[tuple[int, int]]]):
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
        self._sizes, self._batch_size, self._seed = sizes, batch_size, seed
        self._rank, self._world = rank, world
        self._epoch = 0
        self._resume_point = (0, 0)

    @property
    def sampler(self) -> "EqualSizeSampler":
        """Returns itself, since Lightning sets the epoch on the sampler inside a batch sampler."""
        return self

    def __len__(self) -> int:
        return len(self._draw_batches(0)) // self._world

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch of the next iteration."""
        self._epoch = epoch

    def resume(self, epoch: int, batches: int) -> None:
        """Starts this epoch after so many batches of this rank."""
        self._epoch = epoch
        self._resume_point = (epoch, batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, batches = self._epoch, self._draw_batches(self._epoch)
        start = self._resume_point[1] if self._resume_point[0] == epoch else 0
        own_batches = batches[self._rank :: self._world][start : len(batches) // self._world]
        return iter([[(epoch, index) for index in batch] for batch in own_batches])

    def _draw_batches(self, epoch: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(seed_of(self._seed, epoch))
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
