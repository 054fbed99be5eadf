"""Intervals cover what they promise on simulated frames, and the resampling is what it says."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from fcn_lab.metrics.confusion import confusion_matrices
from fcn_lab.metrics.scores import compute_class_iou, compute_scores
from fcn_lab.report.blocks import (
    LEAST_DRAWS,
    MOST_DRAWS,
    FrameBlocks,
    count_draws,
    cut_blocks,
    cut_single_frames,
)
from fcn_lab.report.intervals import (
    Estimate,
    Floats,
    compute_mean_iou,
    compute_variance,
    estimate_score,
    resample_class_iou,
)
from fcn_lab.report.runs import find_drive
from fcn_lab.report.seeds import pool_seeds

DRIVES = ["0001TP"] * 62 + ["Seq05VD"] * 171  # CamVid's test split
TRIALS = 1500


def autoregressive(rng: np.random.Generator, memory: float, shape: Sequence[int]) -> Floats:
    """Frames with standard deviation 1 of which each remembers the one before, (…,N)."""
    x = rng.standard_normal(shape)
    for t in range(1, shape[-1]):
        x[..., t] = memory * x[..., t - 1] + np.sqrt(1 - memory**2) * x[..., t]
    return x


def frames(rng: np.random.Generator, memory: float, *shape: int) -> Floats:
    sizes = cut_blocks(DRIVES).sizes
    return np.concatenate([autoregressive(rng, memory, (*shape, n)) for n in sizes], -1)


def coverage(cut: FrameBlocks, values: Floats) -> float:
    """How often the interval of the mean holds the truth, 0; values (trials, S, N)."""
    draws = np.einsum("tsn,rn->tsr", values, cut.weights(500)) / values.shape[-1]
    points = values.mean(-1)
    found = [
        estimate_seeds(p, d, cut.freedom).interval() for p, d in zip(points, draws, strict=True)
    ]
    return float(np.mean([low <= 0 <= high for low, high in found]))


def estimate_seeds(points: Floats, draws: Floats, freedom: float) -> Estimate:
    """The mean of one arm's seeds, (S,) and (S,R)."""
    spread = pool_seeds([points], same_seeds=True).estimate_mean(len(points))
    return estimate_score(float(points.mean()), draws.mean(0), freedom, spread)


@pytest.mark.parametrize("memory", [0.5, 0.7, 0.8])
def test_intervals_over_blocks_cover_95_in_100_and_over_frames_far_less(memory: float) -> None:
    values = frames(np.random.default_rng(int(memory * 10)), memory, TRIALS, 1)
    assert 0.93 < coverage(cut_blocks(DRIVES), values) < 0.97
    assert coverage(cut_single_frames(DRIVES), values) < 0.80


def test_frames_that_remember_nearly_all_are_covered_as_seldom_as_the_page_says() -> None:
    values = frames(np.random.default_rng(95), 0.95, TRIALS, 1)
    assert coverage(cut_blocks(DRIVES), values) == pytest.approx(0.81, abs=0.02)


@pytest.mark.parametrize(("drives", "length"), [(100, 1), (100, 2), (20, 10), (10, 20)])
def test_where_drives_are_many_intervals_cover_what_drives_differ_by(
    drives: int, length: int
) -> None:
    """Nearly all of the spread lies between drives, of which blocks within them know nothing."""
    rng = np.random.default_rng(drives)
    of_drive = rng.standard_normal((TRIALS, 1, drives, 1))
    values = of_drive + 0.3 * rng.standard_normal((TRIALS, 1, drives, length))
    names = [f"drive{number}" for number in range(drives) for _ in range(length)]
    covered = coverage(cut_blocks(names), values.reshape(TRIALS, 1, -1))
    assert 0.93 <= covered < 0.97


def test_frames_that_do_not_stand_in_order_are_drawn_as_if_they_did() -> None:
    drives, names = ["b"] * 40 + ["a"] * 60, [f"f{number}" for number in range(100)]
    shuffled = np.random.default_rng(0).permutation(100)
    # the drive that comes first, comes first
    shuffled = np.array([7, *shuffled[shuffled != 7]])
    mixed = cut_blocks([drives[i] for i in shuffled], [names[i] for i in shuffled])
    assert (mixed.sizes, mixed.length) == ((40, 60), 20)
    assert np.array_equal(mixed.weights(50), cut_blocks(drives).weights(50)[:, shuffled])


def test_frames_are_put_in_order_by_numbers_of_any_length() -> None:
    names = ["f9", "f010", "f" + "1" * 5000, "f" + "1" * 4999 + "2"]
    order = [3, 0, 2, 1]
    mixed = cut_blocks(["a"] * 4, [names[i] for i in order])
    assert np.array_equal(mixed.weights(50), cut_blocks(["a"] * 4).weights(50)[:, order])


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_intervals_over_blocks_and_three_seeds_cover_95_in_100(share: float) -> None:
    """`share` is the spread of the seeds over the standard error that the frames leave."""
    rng, memory = np.random.default_rng(1), 0.7
    error = np.sqrt((1 + memory) / (1 - memory) / len(DRIVES))
    of_seed = share * error * rng.standard_normal((TRIALS, 3, 1))
    of_frame = frames(rng, memory, TRIALS, 1) + 0.5 * frames(rng, memory, TRIALS, 3)
    assert 0.93 < coverage(cut_blocks(DRIVES), of_frame + of_seed) < 0.97


def test_a_paired_difference_does_not_feel_what_both_arms_share() -> None:
    rng, cut = np.random.default_rng(2), cut_blocks(DRIVES)
    shared, own = frames(rng, 0.7, 1), 0.05 * frames(rng, 0.7, 2, 1)
    weights = cut.weights()
    arms = [shared + part for part in own]
    draws = [arm[0] @ weights.T / len(DRIVES) for arm in arms]
    value = float(arms[0].mean() - arms[1].mean())
    gap = estimate_score(value, draws[0] - draws[1], cut.freedom, None)
    alone = estimate_score(float(arms[0].mean()), draws[0], cut.freedom, None)
    assert gap.error < alone.error / 5


def test_blocks_of_one_frame_have_the_textbook_variance() -> None:
    values = np.random.default_rng(3).standard_normal(300)
    drawn = FrameBlocks((300,), 1).weights(6000) @ values / 300
    assert drawn.var() == pytest.approx(values.var(ddof=1) / 300, rel=0.05)


@pytest.mark.parametrize(("memory", "length"), [(0.0, 1), (0.7, 8), (0.9, 20)])
def test_the_spread_over_blocks_is_that_of_arch(memory: float, length: int) -> None:
    """Its circular blocks, but for the stretch that makes up for a sample's shortfall."""
    from arch.bootstrap import CircularBlockBootstrap

    values = autoregressive(np.random.default_rng(9), memory, (240,))
    theirs = CircularBlockBootstrap(length, values, seed=0).var(np.mean, reps=3000)
    ours = FrameBlocks((240,), length).weights(6000) @ values / 240
    assert ours.var() == pytest.approx(theirs.item() / (1 - length / 240), rel=0.1)


def test_on_many_frames_circular_blocks_spread_as_moving_ones() -> None:
    from arch.bootstrap import MovingBlockBootstrap

    values = autoregressive(np.random.default_rng(10), 0.5, (3000,))
    theirs = MovingBlockBootstrap(30, values, seed=0).var(np.mean, reps=1000)
    ours = FrameBlocks((3000,), 30).weights(1000) @ values / 3000
    assert ours.var() == pytest.approx(theirs.item(), rel=0.15)


def test_frames_that_say_nothing_of_their_spread_make_nothing_certain() -> None:
    cut = cut_blocks(["a drive of one frame"])
    found = estimate_score(0.3, np.full(9, 0.3), cut.freedom, None)
    assert not found.is_known
    assert found.p == 1
    assert found.interval() == (-np.inf, np.inf)


def test_draws_that_lack_a_class_are_left_out_while_they_are_few() -> None:
    draws = np.random.default_rng(11).standard_normal(1000)
    few, many = draws.copy(), draws.copy()
    few[:30], many[:100] = np.nan, np.nan
    assert compute_variance(few, 9) == pytest.approx(float(draws[30:].var(ddof=1)))
    assert compute_variance(many, 9) == np.inf


def test_weights_below_zero_take_no_iou_out_of_its_range() -> None:
    matrices = np.zeros((3, 2, 2), dtype=np.int64)
    matrices[:, 0, 0] = 10
    matrices[0, 1, 1], matrices[1, 1, 0], matrices[2, 1, 1] = 1, 60, 3
    iou = resample_class_iou(np.array([[1.0, -0.04, 1.0], [-0.05, 0.02, 0.05]]), matrices)
    assert iou[~np.isnan(iou)].min() >= 0
    assert iou[~np.isnan(iou)].max() <= 1


def test_no_block_reaches_into_another_drive() -> None:
    weights = FrameBlocks((30, 50), 7).weights(200)
    assert np.allclose(weights[:, :30].sum(1), 30)
    assert np.allclose(weights[:, 30:].sum(1), 50)
    other = FrameBlocks((30, 50), 7).weights(200)
    assert np.array_equal(weights, other)


def test_as_many_draws_are_made_as_memory_has_room_for() -> None:
    """An array over all draws holds at most 20 million numbers, of 1,000 draws or more."""
    assert count_draws(233, 45 * 11) == MOST_DRAWS
    assert count_draws(2000, 40 * 150) * 6000 <= 20e6 < (count_draws(2000, 40 * 150) + 1) * 6000
    assert count_draws(10**6, 11) == LEAST_DRAWS


def test_neighbours_are_drawn_together() -> None:
    weights = FrameBlocks((60,), 20).weights(2000)
    near, far = (np.corrcoef(weights[:, 10], weights[:, 10 + step])[0, 1] for step in (1, 30))
    assert near > 0.8
    assert far < 0


def test_frames_that_each_are_a_drive_are_independent() -> None:
    cut = cut_blocks([f"frame{i}" for i in range(40)])
    assert np.array_equal(cut.weights(50), FrameBlocks((40,), 1).weights(50))
    assert cut.freedom == FrameBlocks((40,), 1).freedom == 39


def test_a_drive_of_one_frame_among_others_stays_as_it_is() -> None:
    weights = FrameBlocks((1, 20), 5).weights(50)
    assert np.array_equal(weights[:, 0], np.ones(50))


def test_two_seeds_or_more_add_the_spread_of_their_mean() -> None:
    points = np.array([0.30, 0.33, 0.36])
    found = estimate_seeds(points, np.tile(points[:, None], (1, 9)), 10)
    expected = stats.t.interval(0.95, 2, points.mean(), stats.sem(points))
    assert found.interval() == pytest.approx(expected)
    assert found.frames == pytest.approx(0)


def test_one_seed_leaves_the_spread_of_seeds_unknown() -> None:
    found = estimate_seeds(np.array([0.5]), np.array([[0.4, 0.6]]), 4)
    assert found.seeds is None
    assert found.joint_freedom == 4


@pytest.mark.parametrize("value", [0.0, 0.2])
def test_what_does_not_vary_is_certain(value: float) -> None:
    found = Estimate(value, 0.0, 5)
    assert found.interval() == (value, value)
    assert found.p == float(value == 0)


def test_the_interval_holds_zero_exactly_where_p_is_above_its_level() -> None:
    for value in np.linspace(0.01, 0.1, 30):
        found = Estimate(float(value), 4e-4, 12, 2e-4, 2)
        low, _ = found.interval(0.95)
        assert (low > 0) == (found.p < 0.05)


def test_the_score_is_that_of_the_summed_matrices() -> None:
    rng = np.random.default_rng(4)
    matrices = rng.integers(0, 50, (6, 4, 4))
    matrices[:, 3] = matrices[:, :, 3] = 0  # a class that is nowhere
    iou = compute_class_iou(matrices.sum(0).astype(float))
    expected = compute_scores(torch.from_numpy(matrices.sum(0)), "abcd")
    assert float(compute_mean_iou(iou)) == pytest.approx(expected["mean_iou"])
    known = [value for value in expected["iou"].values() if value is not None]
    assert iou[:3].tolist() == pytest.approx(known)
    assert np.isnan(iou[3])


def test_resampled_matrices_are_summed_with_their_counts() -> None:
    rng = np.random.default_rng(5)
    matrices, weights = rng.integers(1, 9, (5, 3, 3)), rng.integers(0, 3, (7, 5)).astype(float)
    got = resample_class_iou(weights, matrices)
    for row, counts in zip(got, weights, strict=True):
        repeated = np.repeat(matrices, counts.astype(int), axis=0)
        assert row == pytest.approx(compute_class_iou(repeated.sum(0).astype(float)))


def test_on_camvids_test_drives_an_interval_over_single_frames_is_far_too_narrow() -> None:
    """Of a predictor that says what the label of the frame before said."""
    folder = Path(os.environ.get("FCN_LAB_CAMVID", "../shared/camvid"))
    paths = sorted(folder.rglob("testannot/*.png"))
    if not paths:
        pytest.skip("real CamVid absent: set FCN_LAB_CAMVID to its folder")
    labels = np.stack([np.asarray(Image.open(path))[::4, ::4] for path in paths])
    pairs = torch.from_numpy(labels[:-1]), torch.from_numpy(np.where(labels == 11, 255, labels)[1:])
    matrices = confusion_matrices(*pairs, 12)[:, :11, :11].numpy()  # void as a guess is left out
    drives = [find_drive(path.name) for path in paths[1:]]
    errors = [
        estimate_score(
            0.0, compute_mean_iou(resample_class_iou(cut.weights(), matrices)), cut.freedom, None
        )
        for cut in (cut_blocks(drives), cut_single_frames(drives))
    ]
    assert errors[0].half_width() > 2 * errors[1].half_width()
