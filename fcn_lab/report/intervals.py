"""Intervals for a score over video frames and training seeds.

The variance over frames, which are resampled (blocks.py), and that over seeds (seeds.py) are added,
and Student's t with Satterthwaite's degrees of freedom (1946) makes an interval of the sum.

Legend: N frames, R draws, S seeds, K classes.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from fcn_lab.metrics.scores import count_overlaps, divide

Floats = NDArray[np.float64]
LEVEL = 0.95
# the least share of the draws that hold a class whose interval is given
ENOUGH_DRAWS = 0.95


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
        """Returns whether the error can be estimated."""
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
        """Returns half the width of the interval that the frames alone would leave."""
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
        value: the score or difference over all frames.
        draws: (R,), the score or difference over each draw of frames.
        freedom: degrees of freedom of the variance over frames.
        spread: the variance of the mean over seeds, None where it is not known.
    """
    frames = compute_variance(draws, freedom)
    seeds, seed_freedom = spread or (None, 0.0)
    return Estimate(value, frames, freedom, seeds, seed_freedom)


def compute_variance(draws: Floats, freedom: float) -> float:
    """Returns the variance over R draws; infinite where frames say nothing or lack a class.

    The draws that lack a class are left out. The class is rarest in them, so where they are many
    the variance of the others is too small.
    """
    finite_draws = draws[np.isfinite(draws)]
    if not freedom or len(finite_draws) < ENOUGH_DRAWS * len(draws):
        return math.inf
    return float(finite_draws.var(ddof=1))


def compute_mean_iou(iou: Floats) -> Floats:
    """Maps (…,K) → (…): the mean over the classes that have an IoU."""
    is_present = ~np.isnan(iou)
    total: Floats = np.where(is_present, iou, 0).sum(-1)
    result: Floats = total / is_present.sum(-1).clip(1)
    return result


def resample_class_iou(weights: Floats, matrices: NDArray[np.int64]) -> Floats:
    """Returns class IoU of each draw, (R,K), from weights (R,N) and frames' matrices (N,K,K).

    Weights below 0 can take the IoU of a class that few frames show out of 0…1.
    """
    # 2K numbers of a frame say as much as its K²
    parts = np.concatenate(count_overlaps(matrices.astype(np.float64)), axis=1)
    return divide(*np.split(weights @ parts, 2, axis=1)).clip(0, 1)
