"""Intervals for a score over video frames and training seeds.

Neighbouring frames are nearly the same picture, so the frames of a drive are resampled in blocks of
consecutive ones (the circular block bootstrap of Politis and Romano 1992), the same blocks for all
arms, so that differences are paired. The variance over frames and that over seeds (seeds.py) are
added, and Student's t with Satterthwaite's degrees of freedom (1946) makes an interval of the sum.

Legend: N frames, R draws, S seeds, K classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from fcn_lab.metrics.scores import compute_class_iou

Floats = NDArray[np.float64]
DRAWS = 1000
LEVEL = 0.95
# the length of a block, in units of √N
BLOCK = 2.0
# the least share of the draws that hold a class whose interval is given
ENOUGH_DRAWS = 0.95


@dataclass(frozen=True)
class FrameBlocks:
    """How the frames of a split are cut for resampling.

    Args:
        sizes: frames of each drive, in the order in which they are scored.
        length: frames of a block; in a short drive at most half of it.
    """

    sizes: tuple[int, ...]
    length: int

    @property
    def freedom(self) -> float:
        """Returns the degrees of freedom of a variance over blocks: blocks less drives, ≥ 1.

        0 where each drive has one frame: they say nothing of the spread between frames.
        """
        if max(self.sizes) == 1:
            return 0.0
        blocks = sum(size / self._choose_length(size) for size in self.sizes)
        return max(blocks - len(self.sizes), 1.0)

    def weights(self, draws: int = DRAWS, seed: int = 0) -> Floats:
        """Draws how often each frame counts, (R,N), spread about 1 so that its variance is right.

        A drive of n frames is drawn in circular blocks of length b. The variance of block means
        about the drive's own mean falls short by b/n, as a sample's does by 1/n: deviations from 1
        are stretched by 1/√(1 − b/n), so weights may be fractions, or a little below 0.
        """
        rng = np.random.default_rng(seed)
        parts = []
        for size in self.sizes:
            length = self._choose_length(size)
            starts = rng.integers(0, size, (draws, -(-size // length)))
            frames = (starts[:, :, None] + np.arange(length)).reshape(draws, -1)[:, :size] % size
            cell = frames + np.arange(draws)[:, None] * size
            counts = np.bincount(cell.ravel(), minlength=draws * size).reshape(draws, size)
            stretch = 1 / math.sqrt(1 - length / size) if size > 1 else 0.0
            parts.append(1 + (counts - 1) * stretch)
        return np.hstack(parts)

    def _choose_length(self, size: int) -> int:
        return min(self.length, max(size // 2, 1))


def cut_blocks(drives: Sequence[str]) -> FrameBlocks:
    """Cuts blocks of 2√N consecutive frames within drives, the N frames' drives given in order.

    The length that makes intervals cover is longer than the one with the least error of the
    variance (Sun, Phillips, Jin 2008) and grows with √N (Lazarus, Lewis, Stock, Watson 2018, whose
    factor is 1.3). The factor 2 was chosen where simulated autoregressive frames are covered
    best, see tests/report/test_intervals.py. Frames that each are a drive are independent: they
    are one drive with blocks of one frame.
    """
    sizes = tuple(len(list(group)) for _, group in groupby(drives))
    if max(sizes) == 1:
        return FrameBlocks((len(sizes),), 1)
    return FrameBlocks(sizes, max(1, round(BLOCK * math.sqrt(len(drives)))))


def cut_single_frames(drives: Sequence[str]) -> FrameBlocks:
    """Cuts blocks of one frame, as a bootstrap does that takes frames for independent."""
    return FrameBlocks(tuple(len(list(group)) for _, group in groupby(drives)), 1)


class MeanVariance(NamedTuple):
    """The variance of a mean and its degrees of freedom."""

    value: float
    freedom: float


@dataclass(frozen=True)
class Estimate:
    """A number with its uncertainty.

    Args:
        value: the mean over seeds.
        frames: variance over frames; infinite where the frames do not tell it.
        freedom: the degrees of freedom of `frames`.
        seeds: variance of the mean over seeds, None where there is one seed only.
        seed_freedom: its degrees of freedom.
    """

    value: float
    frames: float
    freedom: float
    seeds: float | None = None
    seed_freedom: float = 0.0

    @property
    def is_known(self) -> bool:
        """Returns whether there is anything to tell the error from."""
        return math.isfinite(self.frames)

    @property
    def error(self) -> float:
        """Returns the standard error of the value."""
        return math.sqrt(self.frames + (self.seeds or 0.0))

    @property
    def joint_freedom(self) -> float:
        """Returns Satterthwaite's degrees of freedom of the summed variance."""
        parts = [(self.frames, self.freedom), (self.seeds or 0.0, self.seed_freedom)]
        denominator = sum(variance**2 / freedom for variance, freedom in parts if variance)
        total = sum(variance for variance, _ in parts)
        return total**2 / denominator if denominator else self.freedom

    def half_width(self, level: float = LEVEL) -> float:
        """Returns half the interval's width, infinite where the error is not known."""
        if not self.is_known:
            return math.inf
        return float(stdtrit(self.joint_freedom, 0.5 + level / 2)) * self.error

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Returns the two ends of the interval of that level."""
        half_width = self.half_width(level)
        return self.value - half_width, self.value + half_width

    def half_of_frames(self) -> float:
        """Returns half the width that the frames alone would leave it."""
        return float(stdtrit(self.freedom, 0.5 + LEVEL / 2)) * math.sqrt(self.frames)

    @property
    def p(self) -> float:
        """Returns the two-sided p-value of the value being 0; 1 where the error is not known."""
        if not self.is_known:
            return 1.0
        if not self.error:
            return 1.0 if self.value == 0 else 0.0
        return float(2 * stdtr(self.joint_freedom, -abs(self.value) / self.error))


def estimate_score(
    value: float, draws: Floats, freedom: float, spread: MeanVariance | None
) -> Estimate:
    """Estimates a mean over seeds, of a score or of a difference.

    Args:
        value: over all frames.
        draws: (R,), the same over the drawn frames.
        freedom: of the variance over frames.
        spread: the variance of the mean over seeds, None where it is not known.
    """
    frames = compute_variance(draws, freedom)
    seeds, seed_freedom = spread or (None, 0.0)
    return Estimate(value, frames, freedom, seeds, seed_freedom)


def compute_variance(draws: Floats, freedom: float) -> float:
    """Returns the variance over R draws; infinite where frames say nothing or lack a class.

    The draws that lack a class are left out. They are those in which it is rarest, so that the
    variance of the others is too small where they are many.
    """
    finite_draws = draws[np.isfinite(draws)]
    if not freedom or len(finite_draws) < ENOUGH_DRAWS * len(draws):
        return math.inf
    return float(finite_draws.var(ddof=1))


def compute_mean_iou(iou: Floats) -> Floats:
    """Maps (…,K) → (…): the mean over the classes that are there."""
    is_present = ~np.isnan(iou)
    total: Floats = np.where(is_present, iou, 0).sum(-1)
    result: Floats = total / is_present.sum(-1).clip(1)
    return result


def resample_class_iou(weights: Floats, matrices: NDArray[np.int64]) -> Floats:
    """Returns class IoU of each draw, (R,K), from weights (R,N) and frames' matrices (N,K,K).

    Weights a little below 0 can take the IoU of a class that few frames show out of 0…1.
    """
    n, k = matrices.shape[:2]
    sums = weights @ matrices.reshape(n, k * k).astype(np.float64)
    return compute_class_iou(sums.reshape(len(weights), k, k)).clip(0, 1)
