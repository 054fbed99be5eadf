"""Cuts the frames of a split into blocks for resampling.

Neighbouring frames are nearly the same picture, so the frames of a drive are resampled in blocks of
consecutive ones (the circular block bootstrap of Politis and Romano 1992), the same blocks for all
arms, so that differences are paired. Where there are many drives, they are resampled whole.

Legend: N frames, R draws.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcn_lab.report.intervals import Floats

# so many that another seed of the draws changes an interval in its third digit
MOST_DRAWS = 20_000
LEAST_DRAWS = 1_000
# the most numbers that an array over all draws may hold, where that leaves enough of them
_NUMBERS = 20_000_000
# the length of a block, in units of √N
BLOCK = 2.0
# with so many drives or more, how much drives differ can be estimated
ENOUGH_DRIVES = 10


@dataclass(frozen=True)
class FrameBlocks:
    """How the frames of a split are cut for resampling.

    Args:
        sizes: frames of each drive.
        length: frames of a block; in a short drive at most half of it.
        order: the N frames' indices, by drive and then by name; none for 0…N−1.
        whole_drives: whether drives are resampled instead of blocks.
        draws: R.
    """

    sizes: tuple[int, ...]
    length: int
    order: tuple[int, ...] = ()
    whole_drives: bool = False
    draws: int = LEAST_DRAWS

    @property
    def has_single_frames(self) -> bool:
        """Returns whether frames are resampled one by one, since each is a drive of its own."""
        return self.whole_drives and max(self.sizes) == 1

    @property
    def freedom(self) -> float:
        """Returns the degrees of freedom of a variance over blocks: blocks less drives, ≥ 1.

        For whole drives it is their number less one; 0 where there is one frame only.
        """
        if self.whole_drives:
            return len(self.sizes) - 1.0
        blocks = sum(size / self._choose_length(size) for size in self.sizes)
        return max(blocks - len(self.sizes), 1.0)

    def weights(self, draws: int | None = None, seed: int = 0) -> Floats:
        """Draws how often each frame counts, (R,N), spread about 1 so that its variance is right.

        A drive of n frames is drawn in circular blocks of length b. The variance of block means
        about the drive's own mean falls short by b/n, as a sample's does by 1/n: deviations from 1
        are stretched by 1/√(1 − b/n), so weights may be fractions, or below 0.
        """
        draws, rng = draws or self.draws, np.random.default_rng(seed)
        if self.whole_drives:
            drive_weights = _draw_weights(rng, len(self.sizes), 1, draws)
            sorted_weights = np.repeat(drive_weights, self.sizes, axis=1)
        else:
            parts = [
                _draw_weights(rng, size, self._choose_length(size), draws) for size in self.sizes
            ]
            sorted_weights = np.hstack(parts)
        return sorted_weights[:, np.argsort(self.order)] if self.order else sorted_weights

    def _choose_length(self, size: int) -> int:
        return min(self.length, max(size // 2, 1))


def _draw_weights(rng: np.random.Generator, size: int, length: int, draws: int) -> Floats:
    """Draws the weights (R,n) of n frames in a row, in circular blocks of this length."""
    starts = rng.integers(0, size, (draws, -(-size // length)))
    # part by part, since arrays of this size stay in the processor's cache
    parts = np.array_split(starts, -(-draws // LEAST_DRAWS))
    counts = np.vstack([_count_frames(part, size, length) for part in parts])
    stretch = 1 / math.sqrt(1 - length / size) if size > 1 else 0.0
    return np.asarray(1 + (counts - 1) * stretch, np.float64)


def _count_frames(starts: NDArray[np.int64], size: int, length: int) -> NDArray[np.int64]:
    """Returns how often circular blocks that start there, (R,B), hold each of n frames, (R,n)."""
    draws = len(starts)
    frames = (starts[:, :, None] + np.arange(length)).reshape(draws, -1)[:, :size] % size
    cells = frames + np.arange(draws)[:, None] * size
    return np.bincount(cells.ravel(), minlength=draws * size).reshape(draws, size)


def cut_blocks(drives: Sequence[str], names: Sequence[str] = ()) -> FrameBlocks:
    """Cuts blocks of 2√N consecutive frames within drives.

    The length that makes intervals cover is longer than the one with the least error of the
    variance (Sun, Phillips, Jin 2008) and grows with √N (Lazarus, Lewis, Stock, Watson 2018, whose
    factor is 1.3). The factor 2 was chosen where simulated autoregressive frames are covered
    best, see tests/report/test_intervals.py. Ten drives or more are resampled whole, since what
    drives differ by is then part of the error; so are frames that each are a drive.

    Args:
        drives: the drive of each of the N frames.
        names: the N frames' names, which tell their order in a drive; none where the frames
            already stand in that order.
    """
    order, sizes = _sort_frames(drives, names)
    if len(sizes) >= ENOUGH_DRIVES or max(sizes) == 1:
        return FrameBlocks(sizes, 1, order, whole_drives=True)
    return FrameBlocks(sizes, max(1, round(BLOCK * math.sqrt(len(drives)))), order)


def count_draws(frame_count: int, score_count: int) -> int:
    """Returns how many draws to make: MOST_DRAWS, or as many as there is room for.

    Args:
        frame_count: N.
        score_count: the numbers that are kept of each draw, such as the class IoU of all runs.
    """
    room = _NUMBERS // max(frame_count, score_count)
    return min(max(room, LEAST_DRAWS), MOST_DRAWS)


def cut_single_frames(drives: Sequence[str]) -> FrameBlocks:
    """Cuts blocks of one frame, as a bootstrap does that takes frames for independent."""
    order, sizes = _sort_frames(drives, ())
    if len(sizes) >= ENOUGH_DRIVES or max(sizes) == 1:
        return FrameBlocks((1,) * len(drives), 1, whole_drives=True)
    return FrameBlocks(sizes, 1, order)


def _sort_frames(
    drives: Sequence[str], names: Sequence[str]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the order of the frames, empty where they stand in it, and the drives' sizes."""
    counts = Counter(drives)
    first_places = {drive: number for number, drive in enumerate(counts)}
    # frame_10 comes after frame_9; the parts at odd places are the numbers, of any length
    parts = [re.split(r"0*([0-9]+)", name) for name in names or [""] * len(drives)]
    keys = [
        (first_places[drive], [(len(p) if n % 2 else 0, p) for n, p in enumerate(name)])
        for drive, name in zip(drives, parts, strict=True)
    ]
    order = tuple(sorted(range(len(drives)), key=keys.__getitem__))
    return (() if order == tuple(range(len(drives))) else order), tuple(counts.values())
