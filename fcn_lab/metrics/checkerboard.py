"""The pattern that a climb of stride s leaves in a score map, cell by cell of s×s pixels.

Legend: N batch, K classes, H W rows and columns.
"""

import math

import torch
from torch import Tensor

# share of a map's mean square; a smaller variance is float32's rounding
ROUNDING_SHARE = 1e-10


def checkerboard_index(scores: Tensor, period: int | None) -> Tensor:
    """Returns the share of a score map's variance that repeats with the stride.

    Maps scores (N,K,H,W) to (N,).

    Of four cells that meet in a corner let A be the variance of their mean cell and B that of all
    their values, summed over classes. Values without a pattern make A a quarter of B, and so does a
    slope; a pattern common to the four (the artefact of Odena, Dumoulin, Olah 2016) makes them
    equal. In between (4A − B)/3 is the pattern's variance, as an analysis of variance estimates
    that of a factor, here of the place in a cell. The index is its mean over all fours, at least 0,
    over the variance of the whole map: 0 for noise and for smooth maps, 1 for one cell repeated,
    whatever the map's size.

    Rows and columns beyond the last whole cell are left out; a map of less than two cells a side,
    of one value, or of no known period, is nan.
    """
    if period is None or min(scores.shape[2:]) < 2 * period:
        return scores.new_full((len(scores),), math.nan, dtype=torch.float32)
    rows, columns = (side // period for side in scores.shape[2:])
    crop = scores[:, :, : rows * period, : columns * period].float()
    cells = crop.reshape(*crop.shape[:2], rows, period, columns, period)
    cells = cells - cells.mean((2, 3, 4, 5), keepdim=True)
    mean_cell, squares = (
        _mean_of_fours(part).movedim((2, 4), (-2, -1)) for part in (cells, cells**2)
    )
    means = mean_cell.mean((2, 3))  # (N,K,rows−1,columns−1), as all below
    cell_variance = (mean_cell**2).mean((2, 3)) - means**2
    value_variance = squares.mean((2, 3)) - means**2
    pattern = ((4 * cell_variance - value_variance) / 3).mean((2, 3)).sum(1).clamp(min=0)
    total = (squares.mean((2, 3)).mean((2, 3)) - means.mean((2, 3)) ** 2).sum(1)
    is_flat = total <= ROUNDING_SHARE * (crop**2).mean((2, 3)).sum(1)
    result: Tensor = (pattern / total).masked_fill(is_flat, math.nan)
    return result


def _mean_of_fours(cells: Tensor) -> Tensor:
    """Averages 2×2 neighbouring cells of (N,K,rows,period,columns,period)."""
    row_means = (cells[:, :, 1:] + cells[:, :, :-1]) / 2
    return (row_means[..., 1:, :] + row_means[..., :-1, :]) / 2
