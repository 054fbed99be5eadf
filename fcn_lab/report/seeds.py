"""The variance between trainings, estimated from all arms of a study together.

Three seeds of one arm give its variance two degrees of freedom, so that Student's t is 4.3 and only
large differences show. Arms that are trained alike vary alike, so their variances are pooled, as in
an analysis of variance (Fisher 1925). Where all arms have the same seeds, scores are modelled as
y_as = μ + α_a + β_s + ε_as: the effect β of a seed on all arms drops out of differences.

Legend: A arms, S seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fcn_lab.report.intervals import Floats, MeanVariance


@dataclass(frozen=True)
class SeedVariance:
    """The mean squares of one score over the trainings of all arms.

    Args:
        residual: the mean square of ε; where arms have different seeds, that of β + ε.
        residual_freedom: its degrees of freedom, (A − 1)(S − 1) or Σ(S_a − 1).
        between_seeds: the mean square between seeds, which estimates Var ε + A Var β; 0 if unknown.
        between_freedom: its degrees of freedom, S − 1; 0 where unknown.
        arms: A.
    """

    residual: float
    residual_freedom: float
    between_seeds: float
    between_freedom: float
    arms: int

    def estimate_mean(self, seeds: int, members: int = 1) -> MeanVariance | None:
        """Returns the variance of a mean over seeds, (Var ε / members + Var β) / S.

        Returns None where no arm has two seeds. Where β is not known apart from ε, averaging arms
        may not reduce the variance, and the result is that of one arm.

        Args:
            seeds: S, the seeds that are averaged.
            members: the arms that are averaged.
        """
        is_known = bool(self.between_freedom)
        # more may be averaged than tell the variance
        share = max(1 / members - 1 / self.arms, 0.0) if is_known else 1.0
        variance = share * self.residual
        parts = [
            (variance, self.residual_freedom),
            (self.between_seeds / self.arms, self.between_freedom),
        ]
        return _sum_variances(parts, 1 / seeds)

    def estimate_difference(self, trainings: Sequence[int]) -> MeanVariance | None:
        """Returns the variance of a difference between means; None where no arm has two seeds.

        Args:
            trainings: the trainings behind each mean, added or subtracted: seeds times averaged
                arms.
        """
        share = sum(1 / number for number in trainings)
        return _sum_variances([(self.residual, self.residual_freedom)], share)


def pool_seeds(scores: Sequence[Floats], same_seeds: bool) -> SeedVariance:
    """Estimates the variance between trainings.

    Args:
        scores: (S_a,) of each arm; arms with an unknown score are left out.
        same_seeds: whether all arms have the same seeds in the same order.
    """
    samples = [sample for sample in scores if np.isfinite(sample).all()]
    deviations = [sample - sample.mean() for sample in samples]
    if not same_seeds or len(samples) < 2 or len(samples[0]) < 2:
        freedom = sum(len(sample) - 1 for sample in samples)
        squares = sum(float(sample @ sample) for sample in deviations)
        return SeedVariance(squares / max(freedom, 1), freedom, 0.0, 0.0, len(samples))
    table = np.stack(deviations)
    arms, seeds = table.shape
    by_seed = table.mean(0)
    residual = float(((table - by_seed) ** 2).sum()) / ((arms - 1) * (seeds - 1))
    between_seeds = arms * float(by_seed @ by_seed) / (seeds - 1)
    return SeedVariance(residual, (arms - 1) * (seeds - 1), between_seeds, seeds - 1, arms)


def _sum_variances(parts: Sequence[tuple[float, float]], share: float) -> MeanVariance | None:
    """Returns the sum times `share`, with Satterthwaite's degrees of freedom (1946)."""
    known_parts = [(value, freedom) for value, freedom in parts if freedom]
    if not known_parts:
        return None
    total = sum(value for value, _ in known_parts)
    denominator = sum(value**2 / freedom for value, freedom in known_parts)
    freedom = total**2 / denominator if denominator else sum(freedom for _, freedom in known_parts)
    return MeanVariance(total * share, freedom)
