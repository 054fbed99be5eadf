"""The checkerboard index: the same for one kind of map whatever its size, and 1 of a pattern."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fcn_lab.metrics.checkerboard import checkerboard_index
from fcn_lab.upsampling import BedOfNails, Bilinear, Nearest

SIZES = ((90, 120), (180, 240), (360, 480))
PERIODS = (8, 16, 32)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cover(cell: Tensor, height: int, width: int) -> Tensor:
    """One cell (N,K,s,s), repeated over a map."""
    times = (1, 1, -(-height // cell.shape[2]), -(-width // cell.shape[3]))
    return cell.repeat(times)[:, :, :height, :width]


def smooth(height: int, width: int, scale: int, seed: int = 0) -> Tensor:
    coarse = draw(1, 8, height // scale + 3, width // scale + 3, seed=seed)
    grown = F.interpolate(coarse, scale_factor=scale, mode="bicubic", align_corners=False)
    return grown[:, :, :height, :width] / grown.std()


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("size", SIZES)
def test_random_maps_have_none_at_any_size(size: tuple[int, int], period: int) -> None:
    assert checkerboard_index(draw(4, 8, *size), period).mean() < 0.01


@pytest.mark.parametrize("scale", [5, 16, 40])
@pytest.mark.parametrize("size", SIZES)
def test_smooth_maps_have_none_at_any_size(size: tuple[int, int], scale: int) -> None:
    for period in PERIODS:
        assert checkerboard_index(smooth(*size, scale), period) < 0.02


@pytest.mark.parametrize("size", SIZES)
def test_a_slope_has_none(size: tuple[int, int]) -> None:
    rows, columns = (torch.linspace(0, end, side) for end, side in zip((2, 3), size, strict=True))
    assert checkerboard_index((rows[:, None] + columns).expand(1, 3, *size), 8) < 1e-4


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("size", SIZES)
def test_one_cell_repeated_is_all_checkerboard(size: tuple[int, int], period: int) -> None:
    board = cover(draw(2, 3, period, period), *size)
    assert checkerboard_index(board, period).tolist() == pytest.approx([1, 1], abs=1e-4)


@pytest.mark.parametrize("share", [0.1, 0.4, 0.8])
@pytest.mark.parametrize("size", SIZES)
def test_a_pattern_in_noise_is_found_by_its_share_of_the_variance(
    size: tuple[int, int], share: float
) -> None:
    cell = draw(1, 8, 16, 16)
    cell = cover((cell - cell.mean()) / cell.std(correction=0), *size)
    mixed = share**0.5 * cell + (1 - share) ** 0.5 * draw(1, 8, *size, seed=1)
    assert float(checkerboard_index(mixed, 16)) == pytest.approx(share, abs=0.02)


def slow_index(scores: np.ndarray, period: int) -> float:
    """The definition, four cells at a time."""
    rows, columns = (side // period for side in scores.shape[1:])
    cells = [
        [scores[:, y * period : (y + 1) * period, x * period : (x + 1) * period]
         for x in range(columns)] for y in range(rows)
    ]  # fmt: skip
    fours = [
        np.stack([cells[y][x], cells[y + 1][x], cells[y][x + 1], cells[y + 1][x + 1]])
        for y in range(rows - 1)
        for x in range(columns - 1)
    ]
    mean_cells = [four.mean(0) for four in fours]
    a = np.mean([cell.var((1, 2)).sum() for cell in mean_cells])
    b = np.mean([four.var((0, 2, 3)).sum() for four in fours])
    whole = np.concatenate(
        [four.transpose(1, 0, 2, 3).reshape(len(scores), -1) for four in fours], 1
    )
    return max(0.0, (4 * a - b) / 3) / whole.var(1).sum()


@pytest.mark.parametrize("period", [2, 4, 8])
def test_the_index_is_the_patterns_variance_over_the_maps(period: int) -> None:
    scores = draw(3, 5, 24, 32, seed=period)
    scores[:, :, ::period, ::period] += 2
    expected = [slow_index(image.double().numpy(), period) for image in scores]
    assert checkerboard_index(scores, period).tolist() == pytest.approx(expected, rel=1e-4)


def test_it_changes_neither_with_the_unit_nor_with_the_zero_of_the_scores() -> None:
    scores = draw(2, 3, 40, 40) + cover(draw(2, 3, 8, 8), 40, 40)
    for other in (scores * 1000, scores + 50):
        assert torch.allclose(
            checkerboard_index(other, 8), checkerboard_index(scores, 8), atol=1e-3
        )


def test_nails_leave_a_checkerboard_and_smooth_operators_none() -> None:
    coarse = draw(1, 3, 20, 20) + 1
    nails, *others = (
        float(checkerboard_index(op(3, 8)(coarse), 8)) for op in (BedOfNails, Bilinear, Nearest)
    )
    assert nails > 0.3
    assert others == [0, 0]


def test_a_map_of_less_than_two_cells_or_of_one_value_has_no_index() -> None:
    assert checkerboard_index(torch.rand(2, 3, 40, 63), 32).isnan().all()
    assert checkerboard_index(torch.full((2, 3, 40, 64), 0.1), 8).isnan().all()


def test_what_rounding_leaves_of_a_flat_map_has_no_index() -> None:
    assert checkerboard_index(1 + 1e-7 * draw(2, 3, *SIZES[0]), 8).isnan().all()
