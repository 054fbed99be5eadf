"""How many seeds a difference would take to be seen."""

import math

import numpy as np
from scipy.special import ncfdtr, stdtrit

from fcn_lab.report.intervals import Estimate

TARGET_POWER = 0.8
MOST_SEEDS = 200


def compute_power(gap: Estimate, seeds: int, now: int, level: float = 0.05) -> float:
    """Returns the chance that `seeds` seeds an arm show a difference as large as it seems.

    The variance over seeds falls as 1/S and its degrees of freedom grow as S − 1; that over frames
    stays, for the test set does. Two-sided test: the square of its t is a noncentral F.

    Args:
        gap: the difference found.
        seeds: S, 2 at least.
        now: seeds behind `gap`.
        level: of the test.
    """
    spread = gap.seeds or 0.0
    then = Estimate(
        gap.value,
        gap.frames,
        gap.freedom,
        spread * now / seeds,
        gap.seed_freedom * (seeds - 1) / max(now - 1, 1),
    )
    if not then.error or not then.is_known:
        return float(then.is_known and gap.value != 0)
    freedom, shift = then.joint_freedom, abs(gap.value) / then.error
    critical = float(stdtrit(freedom, 1 - level / 2))
    found = float(1 - ncfdtr(1, freedom, shift**2, critical**2))
    # where the digits do not suffice for a number short of 1, it is 1
    return 1.0 if math.isnan(found) else found


def count_seeds_needed(gap: Estimate, now: int, level: float = 0.05) -> int | None:
    """Returns the fewest seeds an arm that show `gap` with a chance of 80 %.

    None where no number does, since the frames alone leave too much room, or where one seed leaves
    the spread over seeds unknown.
    """
    if gap.seeds is None:
        return None
    candidates = np.arange(2, MOST_SEEDS + 1)
    return next(
        (int(s) for s in candidates if compute_power(gap, int(s), now, level) >= TARGET_POWER), None
    )
