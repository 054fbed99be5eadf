"""Computes how many seeds it would take to show a difference."""

import math
from bisect import bisect_left

from scipy.special import ncfdtr, stdtrit

from fcn_lab.report.intervals import Estimate

TARGET_POWER = 0.8
MOST_SEEDS = 1_000_000


def compute_power(gap: Estimate, seeds: int, seeds_now: float, level: float = 0.05) -> float:
    """Returns the chance that `seeds` seeds an arm show a difference of the size that was found.

    The variance over seeds falls as 1/S and its degrees of freedom grow as S − 1; the variance over
    frames stays, as the test set does. The test is two-sided: its t squared is a noncentral F.

    Args:
        gap: the difference found.
        seeds: S, 2 at least.
        seeds_now: seeds an arm behind `gap`; the harmonic mean where the arms' numbers differ.
        level: the level of the test.
    """
    spread = gap.seeds or 0.0
    estimate = Estimate(
        gap.value,
        gap.frames,
        gap.freedom,
        spread * seeds_now / seeds,
        gap.seed_freedom * (seeds - 1) / max(seeds_now - 1, 1),
    )
    if not estimate.error or not estimate.is_known:
        return float(estimate.is_known and gap.value != 0)
    freedom, shift = estimate.joint_freedom, abs(gap.value) / estimate.error
    threshold = float(stdtrit(freedom, 1 - level / 2))
    power = float(1 - ncfdtr(1, freedom, shift**2, threshold**2))
    # scipy gives nan where the chance is closer to 1 than digits can show
    return 1.0 if math.isnan(power) else power


def count_seeds_needed(gap: Estimate, seeds_now: float, level: float = 0.05) -> int | None:
    """Returns the fewest seeds an arm that show `gap` with a chance of 80 %.

    Returns None where no number does, since the variance over frames alone is too large, or where
    the spread over seeds is unknown, as with one seed.
    """

    def is_shown(seeds: int) -> bool:
        return compute_power(gap, seeds, seeds_now, level) >= TARGET_POWER

    if gap.seeds is None or not is_shown(MOST_SEEDS):
        return None
    # the chance grows with every seed
    return bisect_left(range(MOST_SEEDS), True, lo=2, key=is_shown)
