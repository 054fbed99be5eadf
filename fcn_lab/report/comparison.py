"""Compares arms with each other: differences, Holm's correction, ranks with ties.

An arm is what was varied without the seed. Legend: A arms, S seeds, N frames, R draws, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from statistics import harmonic_mean

import numpy as np

from fcn_lab.metrics.scores import compute_class_iou
from fcn_lab.report.blocks import FrameBlocks
from fcn_lab.report.intervals import (
    LEVEL,
    Estimate,
    Floats,
    compute_mean_iou,
    estimate_score,
    resample_class_iou,
)
from fcn_lab.report.power import count_seeds_needed
from fcn_lab.report.runs import Run
from fcn_lab.report.seeds import SeedVariance, pool_seeds

ALPHA = 1 - LEVEL
# of the best arm's score: what an arm reaches that has learnt something
LEAST_SHARE = 0.5


@dataclass(frozen=True)
class Arm:
    """The runs that differ in nothing but the seed, scored and resampled.

    Args:
        name: what was varied.
        runs: S of them, by seed.
        points: class IoU, (S,K).
        draws: class IoU of each draw, (S,R,K).
        members: how many arms it averages; 1 for a single arm.
    """

    name: str
    runs: tuple[Run, ...]
    points: Floats
    draws: Floats
    members: int = 1

    @classmethod
    def from_runs(cls, name: str, runs: Sequence[Run], weights: Floats) -> "Arm":
        """Resamples all runs by the same `weights`, (R,N)."""
        runs = tuple(sorted(runs, key=lambda run: run.seed))
        points = np.stack([compute_class_iou(run.matrices.sum(0).astype(float)) for run in runs])
        return cls(
            name,
            runs,
            points,
            np.stack([resample_class_iou(weights, r.matrices) for r in runs]),
        )

    def select_seeds(self, seeds: Sequence[int]) -> "Arm":
        """Returns the arm with these seeds alone."""
        indices = [index for index, seed in enumerate(self.seeds) if seed in seeds]
        runs = tuple(self.runs[index] for index in indices)
        return Arm(self.name, runs, self.points[indices], self.draws[indices])

    @cached_property
    def mean_points(self) -> Floats:
        """Returns the mean IoU of each seed, (S,)."""
        return compute_mean_iou(self.points)

    @cached_property
    def mean_draws(self) -> Floats:
        """Returns the mean IoU of each draw, the mean over seeds, (R,)."""
        means: Floats = compute_mean_iou(self.draws).mean(0)
        return means

    @property
    def seeds(self) -> tuple[int, ...]:
        """Returns the seeds of its runs, ascending."""
        return tuple(run.seed for run in self.runs)

    def average_number(self, *keys: str | int) -> float | None:
        """Returns a number of metrics.json as the mean over seeds, None where a run lacks it."""
        values = [run.number(*keys) for run in self.runs]
        numbers = [value for value in values if value is not None]
        return float(np.mean(numbers)) if len(numbers) == len(values) else None

    def seed_spread(self) -> float:
        """Returns the standard deviation of the mean IoU over seeds; 0 for one seed."""
        return float(self.mean_points.std(ddof=1)) if len(self.runs) > 1 else 0.0


@dataclass(frozen=True)
class Gap:
    """The first arm's mean IoU less the second's.

    Args:
        first: the better arm's name.
        second: the other arm's name.
        gap: the difference.
        level: the level of its interval, see `correct_holm`.
        adjusted_p: Holm's p-value.
        trainings: seeds of each arm, the harmonic mean where they differ.
    """

    first: str
    second: str
    gap: Estimate
    level: float
    adjusted_p: float
    trainings: float

    @cached_property
    def seeds(self) -> int | None:
        """Returns how many seeds an arm would show the gap; None where no number would."""
        return count_seeds_needed(self.gap, self.trainings, 1 - self.level)

    @property
    def is_distinct(self) -> bool:
        """Returns whether the interval leaves zero out."""
        return self.adjusted_p <= ALPHA


@dataclass(frozen=True)
class Comparison:
    """All arms of a report, best first.

    Args:
        arms: A of them.
        blocks: how the frames are cut for resampling.
    """

    arms: tuple[Arm, ...]
    blocks: FrameBlocks

    @cached_property
    def means(self) -> dict[str, Estimate]:
        """Returns the mean IoU of each arm by name."""
        return {arm.name: self.estimate_mean(arm) for arm in self.arms}

    @cached_property
    def seed_variance(self) -> SeedVariance:
        """Returns the variance of mean IoU over seeds, pooled over the arms."""
        return self._pool_seeds(None)

    def estimate_mean(self, arm: Arm) -> Estimate:
        """Estimates the mean IoU of an arm, or of a mean of several."""
        spread = self.seed_variance.estimate_mean(len(arm.points), arm.members)
        value = float(arm.mean_points.mean())
        return estimate_score(value, arm.mean_draws, self.blocks.freedom, spread)

    @cached_property
    def gaps(self) -> list[Gap]:
        """Returns the gaps of all pairs, the better arm first, corrected together."""
        pairs = list(combinations(self.arms, 2))
        estimates = [self.compare_arms(a, b) for a, b in pairs]
        corrections = correct_holm([gap.p for gap in estimates])
        return [
            Gap(a.name, b.name, gap, 1 - alpha, p, harmonic_mean([len(a.runs), len(b.runs)]))
            for (a, b), gap, (p, alpha) in zip(pairs, estimates, corrections, strict=True)
        ]

    def compare_arms(self, a: Arm, b: Arm, label: int | None = None) -> Estimate:
        """Returns `a` less `b`, in mean IoU or in the IoU of class number `label`."""
        if label is None:
            value = float(a.mean_points.mean() - b.mean_points.mean())
            draws = a.mean_draws - b.mean_draws
        else:
            value = float(a.points[:, label].mean() - b.points[:, label].mean())
            draws = a.draws[..., label].mean(0) - b.draws[..., label].mean(0)
        seed_variance = self.seed_variance if label is None else self._pool_seeds(label)
        trainings = (len(a.points) * a.members, len(b.points) * b.members)
        spread = seed_variance.estimate_difference(trainings)
        return estimate_score(value, draws, self.blocks.freedom, spread)

    def ranks(self) -> dict[str, tuple[int, int]]:
        """Returns the best and the worst rank of each arm that the corrected gaps leave open."""
        losses = dict.fromkeys((arm.name for arm in self.arms), 0)
        wins = dict(losses)
        for gap in self.gaps:
            if gap.is_distinct:
                wins[gap.first] += 1
                losses[gap.second] += 1
        return {name: (1 + losses[name], len(self.arms) - wins[name]) for name in losses}

    @cached_property
    def pooled_arms(self) -> list[Arm]:
        """Returns the arms that tell how far trainings spread: all but those that learnt nothing.

        An arm that scores less than half of the best, such as one class for all pixels, spreads
        less than the others for that alone.
        """
        least_score = LEAST_SHARE * float(self.arms[0].mean_points.mean())
        return [arm for arm in self.arms if arm.mean_points.mean() >= least_score]

    def _pool_seeds(self, label: int | None) -> SeedVariance:
        arms = self.pooled_arms
        scores = [arm.mean_points if label is None else arm.points[..., label] for arm in arms]
        return pool_seeds(scores, len({arm.seeds for arm in arms}) == 1)


def compare_runs(arms: Sequence[Arm], blocks: FrameBlocks) -> Comparison:
    """Compares the arms of the runs, sorted by mean IoU."""
    ranked_arms = sorted(arms, key=lambda arm: float(arm.mean_points.mean()), reverse=True)
    return Comparison(tuple(ranked_arms), blocks)


def correct_holm(values: Sequence[float]) -> list[tuple[float, float]]:
    """Returns the adjusted p-value and the level of each of m tests (Holm 1979).

    The i-th smallest is tested at α / (m − i), i from 0, until one is not below; those after it are
    tested at that one's level. An interval of confidence 1 − level then leaves zero out exactly
    where the adjusted p-value is at most α.
    """
    m, adjusted_p, level = len(values), 0.0, 0.0
    result = [(1.0, ALPHA)] * m
    is_rejected = True
    for number, index in enumerate(np.argsort(values, kind="stable")):
        if is_rejected:
            level = ALPHA / (m - number)
            is_rejected = values[index] <= level
        adjusted_p = max(adjusted_p, min(1.0, (m - number) * values[index]))
        result[index] = (adjusted_p, level)
    return result
