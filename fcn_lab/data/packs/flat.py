"""Arrays of any size, one behind the other in a single flat array. H W: rows and columns."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import accumulate
from typing import overload

from fcn_lab.pixels import Pixels


class PixelRows(Sequence[Pixels], ABC):
    """A sequence of arrays, each made when it is read; a slice of it is a list."""

    @abstractmethod
    def read(self, index: int) -> Pixels:
        """Returns the array at an index from 0."""

    @overload
    def __getitem__(self, index: int) -> Pixels: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Pixels]: ...
    def __getitem__(self, index: int | slice) -> Pixels | Sequence[Pixels]:
        numbers = range(len(self))
        if isinstance(index, slice):
            return [self.read(number) for number in numbers[index]]
        return self.read(numbers[index])


class FlatRows(PixelRows):
    """A sequence of arrays (H,W) or (H,W,C) that are views of one flat array, memory-mapped or not.

    Args:
        pixels: all pixels, array by array and row by row.
        sizes: (H,W) of every array.
        channels: () or (C,).
    """

    def __init__(
        self, pixels: Pixels, sizes: Sequence[tuple[int, int]], channels: tuple[int, ...] = ()
    ) -> None:
        self._pixels, self._sizes, self._channels = pixels, sizes, channels
        self._starts = find_starts(sizes, *channels)

    def __len__(self) -> int:
        return len(self._sizes)

    def read(self, index: int) -> Pixels:
        """Returns a view of one array."""
        shape = (*self._sizes[index], *self._channels)
        return self._pixels[self._starts[index] : self._starts[index + 1]].reshape(shape)


def find_starts(sizes: Sequence[tuple[int, int]], channels: int = 1) -> list[int]:
    """Returns where each array of these sizes begins in a flat one, and where the last one ends."""
    return list(accumulate((h * w * channels for h, w in sizes), initial=0))
