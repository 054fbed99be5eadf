"""Corrected differences, ranks with ties, and the seeds that would settle them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from fcn_lab.report.blocks import FrameBlocks
from fcn_lab.report.comparison import Arm, Comparison, compare_runs, correct_holm
from fcn_lab.report.intervals import Estimate
from fcn_lab.report.power import compute_power, count_seeds_needed
from fcn_lab.report.runs import Run

CUT = FrameBlocks((40,), 5)


def arm(name: str, level: float, seeds: int = 3, noise: float = 0.004) -> Arm:
    """An arm of two classes whose scores lie about `level`; frames shake all arms alike."""
    rng = np.random.default_rng(sum(map(ord, name)))
    points = level + noise * rng.standard_normal((seeds, 1)) + np.array([-0.1, 0.1])
    common = 0.02 * np.random.default_rng(0).standard_normal((1, 200, 1))
    draws = points[:, None] + common + 0.002 * rng.standard_normal((seeds, 200, 2))
    runs = tuple(Run(Path(name), {"seed": seed, "protocol": "p"}, {}) for seed in range(seeds))
    return Arm(name, runs, points, draws)


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare_runs([arm("low", 0.3), arm("high", 0.5), arm("alike", 0.501)], CUT)


def test_arms_stand_best_first(found: Comparison) -> None:
    assert found.arms[-1].name == "low"
    values = [found.means[arm.name].value for arm in found.arms]
    assert values == sorted(values, reverse=True)


def test_arms_that_cannot_be_told_apart_share_their_ranks(found: Comparison) -> None:
    assert found.ranks() == {"high": (1, 2), "alike": (1, 2), "low": (3, 3)}


def test_an_interval_holds_zero_exactly_where_arms_are_not_distinct(found: Comparison) -> None:
    for gap in found.gaps:
        low, high = gap.gap.interval(gap.level)
        assert gap.is_distinct == (not low <= 0 <= high)
    assert {gap.is_distinct for gap in found.gaps} == {True, False}


def test_differences_are_paired_over_frames(found: Comparison) -> None:
    first, last = found.arms[0], found.arms[-1]
    assert found.compare_arms(first, last).error < found.means[first.name].error / 2


def test_averaging_arms_divides_the_variance_between_their_trainings(found: Comparison) -> None:
    for members in (1, 4):
        first, last = (replace(found.arms[place], members=members) for place in (0, -1))
        spread = found.compare_arms(first, last).seeds
        # σ² (1 / n + 1 / n) of n trainings, three of each arm
        assert spread == pytest.approx(found.seed_variance.residual * 2 / (3 * members))


def test_an_arm_that_has_learnt_nothing_does_not_tell_how_trainings_spread() -> None:
    """Its scores hardly spread, and would make all intervals too narrow."""
    blocks = FrameBlocks((100,), 10)
    alive = [arm("a", 0.6), arm("b", 0.5)]
    dead = arm("dead", 0.02, noise=0.0)
    alone, beside = (compare_runs(arms, blocks) for arms in (alive, [*alive, dead]))
    assert beside.seed_variance == alone.seed_variance
    assert beside.compare_arms(*alive).seeds == alone.compare_arms(*alive).seeds
    # where an arm is just half as good, it counts
    half = compare_runs([*alive, arm("half", 0.31)], blocks)
    assert half.seed_variance.arms == 3


def test_a_class_is_compared_as_the_mean_is(found: Comparison) -> None:
    first, last = found.arms[0], found.arms[-1]
    per_class = [found.compare_arms(first, last, label).value for label in (0, 1)]
    assert np.mean(per_class) == pytest.approx(found.compare_arms(first, last).value)


@pytest.mark.parametrize("seed", range(5))
def test_holm_adjusts_as_its_definition_says(seed: int) -> None:
    values = np.random.default_rng(seed).uniform(0, 0.06, 7)
    got = [p for p, _ in correct_holm(values.tolist())]
    order = np.argsort(values)
    for place, index in enumerate(order):
        expected = max(min(1, (7 - i) * values[order[i]]) for i in range(place + 1))
        assert got[index] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_holm_agrees_with_statsmodels(seed: int) -> None:
    values = np.random.default_rng(seed).uniform(0, 0.06, 12)
    values[3] = values[7]  # a tie
    rejected, adjusted, *_ = multipletests(values, 0.05, method="holm")
    got = correct_holm(values.tolist())
    assert [p for p, _ in got] == pytest.approx(adjusted)
    assert [p <= 0.05 for p, _ in got] == list(rejected)


@pytest.mark.parametrize("effect", [0.0, 0.3, 1.5])
@pytest.mark.parametrize("level", [0.05, 0.001])
def test_the_power_of_a_paired_t_test_agrees_with_statsmodels(effect: float, level: float) -> None:
    gap = Estimate(effect, 0.0, 10, 1 / 3, 2)  # seen with three seeds whose spread is 1
    for seeds in (2, 3, 10, 30):
        expected = TTestPower().power(effect, seeds, level)
        assert compute_power(gap, seeds, 3, level) == pytest.approx(expected, abs=1e-6)


def test_the_power_is_a_number_where_scipys_noncentral_t_has_none() -> None:
    assert np.isnan(TTestPower().power(12, 2, 0.05))
    drawn = np.random.default_rng(9).normal(12, 1, (20000, 2))
    reached = np.mean(stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05)
    assert compute_power(Estimate(12, 0.0, 10, 1 / 3, 2), 2, 3) == pytest.approx(reached, abs=0.02)


def test_the_seeds_needed_are_those_of_statsmodels() -> None:
    for effect in (0.05, 0.4, 0.8, 1.5):
        needed = TTestPower().solve_power(effect, power=0.8, alpha=0.05)
        assert count_seeds_needed(Estimate(effect, 0.0, 10, 1 / 3, 2), seeds_now=3) == int(
            np.ceil(needed)
        )


def test_arms_of_different_seeds_need_what_arms_of_their_harmonic_mean_need() -> None:
    comparison = compare_runs([arm("a", 0.3, seeds=3), arm("b", 0.301, seeds=10)], CUT)
    (gap,) = comparison.gaps
    assert gap.gap.seeds is not None
    # of S seeds an arm the variance of a difference is 2/S times that of one training
    assert gap.gap.seeds == pytest.approx(comparison.seed_variance.residual * 2 / gap.trainings)


@pytest.mark.parametrize("freedom", [1.5, 10, 100, 400, 2000])
def test_a_difference_far_beyond_its_error_needs_no_more_seeds(freedom: float) -> None:
    for value in (10, 20, 36, 38, 60, 1e4):
        assert count_seeds_needed(Estimate(value, 1.0, freedom, 0.0, 2), seeds_now=3) == 2


@pytest.mark.parametrize("seed", range(5))
def test_a_test_at_its_level_decides_as_the_adjusted_p_value(seed: int) -> None:
    values = np.random.default_rng(seed).uniform(0, 0.02, 9).tolist()
    for value, (adjusted, level) in zip(values, correct_holm(values), strict=True):
        assert (value <= level) == (adjusted <= 0.05)


def test_holm_keeps_false_findings_below_five_in_a_hundred() -> None:
    values = np.random.default_rng(6).uniform(size=(2000, 10))
    wrong = [min(p for p, _ in correct_holm(row.tolist())) <= 0.05 for row in values]
    assert np.mean(wrong) < 0.06


@pytest.mark.parametrize("effect", [0.8, 1.5])
def test_the_predicted_power_is_reached_in_simulation(effect: float) -> None:
    """Paired t-tests of differences with spread 1, seen first with three seeds."""
    gap = Estimate(effect, 0.0, 10, 1 / 3, 2)
    seeds = count_seeds_needed(gap, seeds_now=3)
    assert seeds is not None
    drawn = np.random.default_rng(7).normal(effect, 1, (4000, seeds))
    reached = np.mean(stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05)
    assert reached == pytest.approx(compute_power(gap, seeds, seeds_now=3), abs=0.03)
    assert reached > 0.77
    fewer = stats.ttest_1samp(drawn[:, :-1], 0, axis=1).pvalue < 0.05
    assert np.mean(fewer) < 0.83


def test_power_over_frames_and_seeds_is_reached_in_simulation() -> None:
    gap, seeds, blocks = Estimate(0.02, 0.006**2, 15, 0.012**2, 2), 8, 16
    rng = np.random.default_rng(8)
    of_seed = rng.normal(0, 0.012 * np.sqrt(3), (4000, seeds))
    of_block = rng.normal(0, 0.006 * np.sqrt(blocks), (4000, blocks))
    value = 0.02 + of_seed.mean(1) + of_block.mean(1)
    found = [
        Estimate(v, b.var(ddof=1) / blocks, blocks - 1, s.var(ddof=1) / seeds, seeds - 1).p < 0.05
        for v, b, s in zip(value, of_block, of_seed, strict=True)
    ]
    assert np.mean(found) == pytest.approx(compute_power(gap, seeds, seeds_now=3), abs=0.04)


def test_no_number_of_seeds_settles_what_the_frames_leave_open() -> None:
    assert count_seeds_needed(Estimate(0.01, 0.02**2, 10, 0.001**2, 2), seeds_now=3) is None


def test_one_seed_does_not_say_how_many_would_be_needed() -> None:
    assert count_seeds_needed(Estimate(0.01, 0.001**2, 10), seeds_now=1) is None
