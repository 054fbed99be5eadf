"""Divides the variance between the arms of a grid among its factors, less the part of error.

The expected part of error in a factor's sum of squares is subtracted, as in ω² (Hays 1963) and ε²
(Kelley 1935), and the interval is that of a noncentral F (Steiger 2004). Σ, the covariance of the
arms' means by frames and seeds, may differ between arms and link them: to a factor with the
projection P it adds tr(PΣ), with Satterthwaite's (1946) and Box's (1954) degrees of freedom.

Legend: A arms, S seeds, R draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq
from scipy.special import ncfdtr

from fcn_lab.report.intervals import LEVEL, Floats


@dataclass(frozen=True)
class VarianceShare:
    """A part of the variance between arms, in 0…1, and its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class VarianceEffect:
    """The variance between A arms that lies in a subspace, such as that of a factor's levels.

    Args:
        projection: P, (A,A).
        means: the arms' mean scores, (A,).
        frames: covariance of the means over frames, (A,A).
        freedom: its degrees of freedom.
        seeds: covariance of the scores over seeds, (A,A).
        count: S, 2 at least.
    """

    projection: Floats
    means: Floats
    frames: Floats
    freedom: float
    seeds: Floats
    count: int

    @cached_property
    def rank(self) -> float:
        """Returns the dimension of the subspace."""
        return float(np.trace(self.projection))

    @cached_property
    def _parts(self) -> tuple[float, float]:
        """Returns the parts of frames and of seeds in the expected sum of squares."""
        by_seeds = float(np.trace(self.projection @ self.seeds)) / self.count
        return float(np.trace(self.projection @ self.frames)), by_seeds

    @property
    def error(self) -> float:
        """Returns the part of error in the expected sum of squares."""
        return sum(self._parts)

    @property
    def squares(self) -> float:
        """Returns the sum of squares."""
        return float(self.means @ self.projection @ self.means)

    @property
    def net(self) -> float:
        """Returns the sum of squares less its part of error, which may be below 0."""
        return self.squares - self.error

    def interval(self, level: float) -> tuple[float, float]:
        """Returns the bounds of the part without error, at least 0 (Steiger 2004, equation 26)."""
        if not self.error:
            return self.squares, self.squares
        by_frames, by_seeds = self._parts
        denominator = by_frames**2 / self.freedom + by_seeds**2 / ((self.count - 1) * self.rank)
        spread = self.frames + np.eye(len(self.means)) * by_seeds / self.rank
        projected_spread = self.projection @ spread
        rank = self.error**2 / float(np.trace(projected_spread @ projected_spread))
        ratio, freedom = self.squares / self.error, self.error**2 / denominator
        low, high = (
            _find_noncentrality(ratio, rank, freedom, 0.5 + s * level / 2) for s in (1, -1)
        )
        return low * self.error / rank, high * self.error / rank


def compute_shares(
    effects: Mapping[str, VarianceEffect], rest: Mapping[str, VarianceEffect]
) -> dict[str, VarianceShare]:
    """Returns each effect's part of their sum.

    The intervals of an effect and of all others together have a level of 97.5 % each, so that the
    parts are in their intervals at least 95 times in 100.

    Args:
        effects: orthogonal ones by name.
        rest: the effect of all others together, for each of them.
    """
    level = (1 + LEVEL) / 2
    total = sum(max(effect.net, 0.0) for effect in effects.values())
    shares = {}
    for name, effect in effects.items():
        bounds, others = effect.interval(level), rest[name].interval(level)
        value = _divide(max(effect.net, 0.0), total - max(effect.net, 0.0))
        low, high = _divide(bounds[0], others[1]), _divide(bounds[1], others[0])
        shares[name] = VarianceShare(value, min(low, value), max(high, value))
    return shares


def build_projections(levels: Sequence[Sequence[str]]) -> list[Floats]:
    """Builds (A,A) for each factor of a full grid and, last, for all their interactions.

    Args:
        levels: the level of each of the A arms, for each factor.
    """
    arms = len(levels[0])
    mean_projection = np.full((arms, arms), 1 / arms)
    projections = []
    for column in map(np.asarray, levels):
        same_level = (column[:, None] == column).astype(float)
        projections.append(same_level / same_level.sum(1, keepdims=True) - mean_projection)
    return [*projections, np.eye(arms) - mean_projection - sum(projections)]


def _divide(part: float, others: float) -> float:
    return part / (part + others) if part + others > 0 else 0.0


def _find_noncentrality(ratio: float, rank: float, freedom: float, chance: float) -> float:
    """Returns the noncentrality where `ratio` or less has this chance; 0 if none has."""

    def excess(shift: float) -> float:
        return float(ncfdtr(rank, freedom, shift, ratio)) - chance

    if excess(0.0) <= 0:
        return 0.0
    high = max(1.0, rank * ratio)
    while excess(high) > 0:
        high *= 2
    return float(brentq(excess, 0.0, high))
