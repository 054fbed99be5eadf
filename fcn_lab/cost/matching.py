"""Equal capacity: two widths for each arm at which parameters and multiply-accumulates agree.

One width changes mostly the operations (early layers, many pixels), the other mostly the parameters
(late layers, few pixels). With J the changes of both costs by a step of each width, Newton's step
to the target is J⁻¹ (target − cost), rounded to whole channels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fcn_lab.cost.macs import Cost

Widths = tuple[int, int]
ROUNDS = 10
# steps of the two widths for the differences: one channel is too few to see a slope
STEPS = (4, 16)


@dataclass(frozen=True)
class Fit:
    """The widths of a network, their cost, and the larger relative distance to the target."""

    widths: Widths
    cost: Cost
    distance: float


def fit_widths(
    costs: Callable[[Widths], Cost], start: Widths, target: Cost, tolerance: float
) -> Fit:
    """Searches the widths whose cost comes closest to a target.

    Args:
        costs: parameters and operations of the arm at two widths.
        start: the widths to search from.
        target: the parameters and operations to come close to.
        tolerance: a relative distance that is good enough.
    """
    best = build_fit(start, costs(start), target)
    if best.distance <= tolerance / 2:
        return best
    first = np.array(cost_vector(best.cost))
    trials = [(start[0] + STEPS[0], start[1]), (start[0], start[1] + STEPS[1])]
    slopes = np.stack([np.array(cost_vector(costs(w))) - first for w in trials], 1) / np.array(
        STEPS
    )
    point, cost = start, best.cost
    for _ in range(ROUNDS):
        gap = np.array(cost_vector(target)) - np.array(cost_vector(cost))
        step = np.linalg.lstsq(slopes, gap, rcond=None)[0].round().astype(int)
        first_width, second_width = (max(1, int(w + d)) for w, d in zip(point, step, strict=True))
        if (first_width, second_width) == point:
            break
        point = (first_width, second_width)
        cost = costs(point)
        best = min(best, build_fit(point, cost, target), key=lambda fit: fit.distance)
        if best.distance <= tolerance / 2:
            break
    return best


def build_fit(widths: Widths, cost: Cost, target: Cost) -> Fit:
    """Returns the fit of these widths, with the larger of both costs' relative distances."""
    pairs = zip(cost_vector(cost), cost_vector(target), strict=True)
    return Fit(widths, cost, max(abs(value - goal) / goal for value, goal in pairs))


def cost_vector(cost: Cost) -> tuple[float, float]:
    """Returns the parameters and the MACs as floats."""
    return float(cost.params), float(cost.macs)


def pick_target(costs: Sequence[Cost]) -> Cost:
    """Returns the most parameters and the most MACs of any network, so that none has to shrink."""
    return Cost(max(cost.params for cost in costs), max(cost.macs for cost in costs))


def relative_gap(costs: Sequence[Cost]) -> float:
    """Returns largest / smallest − 1 over networks, for parameters or MACs, whichever is more."""
    numbers: list[tuple[float, ...]] = list(zip(*map(cost_vector, costs), strict=True))
    return max((max(column) / min(column) - 1 for column in numbers), default=0.0)
