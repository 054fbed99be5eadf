"""Equal capacity: two widths for each arm at which parameters and multiply-accumulates agree.

One width moves mostly the operations (early layers, many pixels), the other mostly the parameters
(late layers, few pixels). With J the changes of both costs by a step of each width, Newton's step
to the target is J⁻¹ (target − cost), rounded to whole channels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fcn_lab.cost.macs import Cost

Widths = tuple[int, int]
ROUNDS = 10
STEPS = (4, 16)  # of the widths, for the differences: one channel is too few to see a slope


@dataclass(frozen=True)
class Fit:
    """The widths of an arm, what they cost, and the larger relative distance to the target."""

    widths: Widths
    cost: Cost
    distance: float


def fit(costs: Callable[[Widths], Cost], start: Widths, target: Cost, tolerance: float) -> Fit:
    """The widths that come closest to a target cost.

    Args:
        costs: parameters and operations of the arm at two widths.
        start: the widths to search from.
        target: what to come close to.
        tolerance: a relative distance that is good enough.
    """
    best = judged(start, costs(start), target)
    if best.distance <= tolerance / 2:
        return best
    first = np.array(vector(best.cost))
    moved = [(start[0] + STEPS[0], start[1]), (start[0], start[1] + STEPS[1])]
    slopes = np.stack([np.array(vector(costs(w))) - first for w in moved], 1) / np.array(STEPS)
    point, cost = start, best.cost
    for _ in range(ROUNDS):
        gap = np.array(vector(target)) - np.array(vector(cost))
        step = np.linalg.lstsq(slopes, gap, rcond=None)[0].round().astype(int)
        down, across = (max(1, int(w + d)) for w, d in zip(point, step, strict=True))
        if (down, across) == point:
            break
        point = (down, across)
        cost = costs(point)
        best = min(best, judged(point, cost, target), key=lambda found: found.distance)
        if best.distance <= tolerance / 2:
            break
    return best


def judged(widths: Widths, cost: Cost, target: Cost) -> Fit:
    """With its distance."""
    pairs = zip(vector(cost), vector(target), strict=True)
    return Fit(widths, cost, max(abs(own - goal) / goal for own, goal in pairs))


def vector(cost: Cost) -> tuple[float, float]:
    """Parameters and operations."""
    return float(cost.params), float(cost.macs)


def dearest(costs: Sequence[Cost]) -> Cost:
    """The target that asks no arm to shrink: the most parameters and the most operations of any."""
    return Cost(max(cost.params for cost in costs), max(cost.macs for cost in costs))


def spread(costs: Sequence[Cost]) -> float:
    """How far arms are apart: the largest over the smallest, less 1, in the worse of the two."""
    numbers: list[tuple[float, ...]] = list(zip(*map(vector, costs), strict=True))
    return max((max(column) / min(column) - 1 for column in numbers), default=0.0)
