"""The variance between trainings, pooled over arms, against statsmodels' analysis of variance."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols

from fcn_lab.report.intervals import Floats
from fcn_lab.report.seeds import SeedVariance, pool_seeds
from support.thin import thin_out

ARMS, SEEDS, TRIALS = 5, 3, 4000


def draw_scores(rng: np.random.Generator, by_seed: float, spreads: Floats, *shape: int) -> Floats:
    """Trainings about 0, (…,A,S): each seed moves all arms alike, each arm has its own spread."""
    own = spreads[:, None] * rng.standard_normal((*shape, len(spreads), SEEDS))
    shared = by_seed * rng.standard_normal((*shape, 1, SEEDS))
    result: Floats = own + shared
    return result


def fit(scores: list[Floats], formula: str) -> tuple[float, float]:
    """The residual mean square of statsmodels' least squares, and its degrees of freedom."""
    rows = [(a, s, y) for a, own in enumerate(scores) for s, y in enumerate(own)]
    found = ols(formula, pd.DataFrame(rows, columns=["arm", "seed", "score"])).fit()
    return found.mse_resid, found.df_resid


def test_with_the_same_seeds_the_residual_is_that_of_arms_and_seeds() -> None:
    scores = list(draw_scores(np.random.default_rng(1), 2.0, np.ones(ARMS)))
    pooled = pool_seeds(scores, same_seeds=True)
    expected = fit(scores, "score ~ C(arm) + C(seed)")
    assert (pooled.residual, pooled.residual_freedom) == pytest.approx(expected)


def test_with_different_seeds_the_residual_is_that_of_arms_alone() -> None:
    rng = np.random.default_rng(2)
    scores = [rng.standard_normal(number) for number in (2, 3, 5, 1)]
    pooled = pool_seeds(scores, same_seeds=False)
    expected = fit(scores, "score ~ C(arm)")
    assert (pooled.residual, pooled.residual_freedom) == pytest.approx(expected)


def test_two_arms_are_compared_as_the_paired_t_test_does() -> None:
    a, b = draw_scores(np.random.default_rng(3), 1.0, np.ones(2))
    spread = pool_seeds([a, b], same_seeds=True).estimate_difference((SEEDS, SEEDS))
    assert spread is not None
    t = (a.mean() - b.mean()) / np.sqrt(spread.value)
    assert 2 * stats.t.sf(abs(t), spread.freedom) == pytest.approx(stats.ttest_rel(a, b).pvalue)


def test_one_arm_has_the_standard_error_of_its_mean() -> None:
    scores = np.random.default_rng(4).standard_normal(4)
    spread = pool_seeds([scores], same_seeds=True).estimate_mean(4)
    assert spread is not None
    assert spread == pytest.approx((stats.sem(scores) ** 2, 3))


def test_the_mean_of_an_arm_spreads_as_arms_do_on_average() -> None:
    scores = draw_scores(np.random.default_rng(5), 0.7, np.ones(ARMS))
    spread = pool_seeds(list(scores), same_seeds=True).estimate_mean(SEEDS)
    assert spread is not None
    assert spread.value == pytest.approx(scores.var(1, ddof=1).mean() / SEEDS)
    assert SEEDS - 1 <= spread.freedom <= ARMS * (SEEDS - 1)


def test_the_mean_of_all_arms_spreads_as_the_seeds_means_do() -> None:
    scores = draw_scores(np.random.default_rng(6), 0.7, np.ones(ARMS))
    spread = pool_seeds(list(scores), same_seeds=True).estimate_mean(SEEDS, members=ARMS)
    assert spread is not None
    assert spread == pytest.approx((stats.sem(scores.mean(0)) ** 2, SEEDS - 1))


def test_an_arm_whose_score_is_not_known_does_not_spoil_the_others() -> None:
    scores = list(draw_scores(np.random.default_rng(7), 0.0, np.ones(ARMS)))
    assert pool_seeds([*scores, np.full(SEEDS, np.nan)], True) == pool_seeds(scores, True)


def test_arms_of_one_seed_each_leave_it_unknown() -> None:
    pooled = pool_seeds([np.array([0.1]), np.array([0.4])], same_seeds=True)
    assert pooled.estimate_difference((1, 1)) is None
    assert pooled.estimate_mean(1) is None


def test_an_arm_of_one_seed_takes_its_spread_from_the_others() -> None:
    a, b = np.array([0.1, 0.3, 0.2]), np.array([0.5])
    spread = pool_seeds([a, b], same_seeds=False).estimate_difference((3, 1))
    assert spread == pytest.approx((a.var(ddof=1) * (1 / 3 + 1), 2))


def test_arms_of_different_seeds_are_not_averaged_to_more_than_one_arm_knows() -> None:
    """What a seed does to all arms alike stays in their mean, and is not told apart here."""
    rng = np.random.default_rng(11)
    shared = rng.standard_normal((TRIALS, SEEDS))
    pools = [
        pool_seeds([*np.tile(own, (ARMS - 1, 1)), own[: SEEDS - 1]], same_seeds=False)
        for own in shared
    ]
    variances = [pooled.estimate_mean(SEEDS, members=ARMS - 1) for pooled in pools]
    mean = np.mean([variance.value for variance in variances if variance is not None])
    assert mean == pytest.approx(shared.mean(1).var(), rel=0.1)


def coverage(scores: Floats, pools: list[SeedVariance], first: int, second: int | None) -> float:
    """How often the interval of an arm, or of a difference of two, holds the truth, 0."""
    held = []
    for trial, pooled in zip(scores, pools, strict=True):
        value, spread = trial[first].mean(), pooled.estimate_mean(SEEDS)
        if second is not None:
            value = value - trial[second].mean()
            spread = pooled.estimate_difference((SEEDS, SEEDS))
        assert spread is not None
        held.append(abs(value) <= stats.t.ppf(0.975, spread.freedom) * np.sqrt(spread.value))
    return float(np.mean(held))


@pytest.mark.parametrize("by_seed", thin_out([1.0, 0.0, 3.0], every=3))
def test_intervals_of_arms_that_spread_alike_cover_95_in_100(by_seed: float) -> None:
    scores = draw_scores(np.random.default_rng(8), by_seed, np.ones(ARMS), TRIALS)
    pools = [pool_seeds(list(trial), same_seeds=True) for trial in scores]
    assert 0.94 < coverage(scores, pools, 0, 1) < 0.96
    assert 0.93 < coverage(scores, pools, 0, None) < 0.97


@pytest.mark.slow
def test_an_arm_that_spreads_twice_as_far_is_covered_nine_times_in_ten() -> None:
    scores = draw_scores(np.random.default_rng(9), 0.0, np.array([2.0, 1, 1, 1, 1]), TRIALS)
    pools = [pool_seeds(list(trial), same_seeds=True) for trial in scores]
    assert coverage(scores, pools, 0, 1) > 0.88
    assert coverage(scores, pools, 1, 2) > 0.95
