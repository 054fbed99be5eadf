"""How the variance between the arms of a grid divides between factors, net of error.

What error alone adds to a factor's sum of squares is taken off, as in ω² (Hays 1963) and ε² (Kelley
1935), and the interval is that of a noncentral F (Steiger 2004). The error is that of the arms'
means over frames and seeds, and need not be the same or independent between arms: of a factor with
the projection P it adds tr(PΣ), with Satterthwaite's (1946) and Box's (1954) degrees of freedom.

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
        """Returns what frames and seeds add to the sum of squares."""
        by_seeds = float(np.trace(self.projection @ self.seeds)) / self.count
        return float(np.trace(self.projection @ self.frames)), by_seeds

    @property
    def error(self) -> float:
        """Returns what error alone adds to the sum of squares."""
        return sum(self._parts)

    @property
    def squares(self) -> float:
        """Returns the sum of squares."""
        return float(self.means @ self.projection @ self.means)

    @property
    def net(self) -> float:
        """Returns the sum of squares that is no error; below 0 where it is less than error."""
        return self.squares - self.error

    def interval(self, level: float) -> tuple[float, float]:
        """Returns the bounds of what is no error, at least 0 (Steiger 2004, equation 26)."""
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

    Both an effect and what lies beside it are taken at 97.5 %, so that the parts are in their
    intervals 95 times in 100 or more often.

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
