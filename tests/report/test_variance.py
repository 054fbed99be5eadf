"""Shares of the variance between arms: net of error, with intervals that hold the truth."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.anova import AnovaRM

from fcn_lab.report.intervals import Floats
from fcn_lab.report.variance import VarianceEffect, VarianceShare, build_projections, compute_shares

LEVELS = tuple(zip(*product("abc", "xyz"), strict=True))  # 3 models × 3 operators
MODELS, OPERATORS, BOTH = build_projections(LEVELS)
NAMES = ("models", "operators", "interaction")
TRUTH = 3.0 * np.array([{"a": -1, "b": 0, "c": 1}[model] for model in LEVELS[0]]) + 1.0 * np.array(
    [{"x": -1, "y": 0, "z": 1}[operator] for operator in LEVELS[1]]
)


def measure(
    rng: np.random.Generator, truth: Floats, frames: float, seeds: float, blocks: int = 12
) -> Sequence[VarianceEffect]:
    """The three effects from arms with errors over frames, in part common, and over three seeds."""
    arms = len(truth)
    mixing = np.full((arms, arms), 0.8) + rng.uniform(0, 0.4, arms) * np.eye(arms)
    over = frames * np.sqrt(blocks) * rng.standard_normal((blocks, arms)) @ mixing.T / arms
    own = seeds * rng.standard_normal((arms, 3))
    means = truth + over.mean(0) + own.mean(1)
    spread = np.cov(over.T) / blocks, blocks - 1, np.cov(own), 3
    return [VarianceEffect(projection, means, *spread) for projection in (MODELS, OPERATORS, BOTH)]


def shares(effects: Sequence[VarianceEffect]) -> dict[str, VarianceShare]:
    def joined(without: int) -> VarianceEffect:
        projection = sum(e.projection for place, e in enumerate(effects) if place != without)
        return VarianceEffect(np.asarray(projection), *list(vars(effects[0]).values())[1:6])

    rest = {name: joined(place) for place, name in enumerate(NAMES)}
    return compute_shares(dict(zip(NAMES, effects, strict=True)), rest)


def test_effects_divide_the_space_of_differences_between_arms() -> None:
    whole = MODELS + OPERATORS + BOTH
    assert np.allclose(whole, np.eye(9) - 1 / 9)
    for one, other in product((MODELS, OPERATORS, BOTH), repeat=2):
        assert np.allclose(one @ other, one if one is other else 0)
    assert [round(np.trace(p)) for p in (MODELS, OPERATORS, BOTH)] == [2, 2, 4]


def test_without_error_shares_are_those_of_the_sums_of_squares() -> None:
    found = shares(measure(np.random.default_rng(0), TRUTH, 0, 0))
    assert [found[name].value for name in NAMES] == pytest.approx([0.9, 0.1, 0])
    for share in found.values():
        assert share.low == pytest.approx(share.high)


def test_a_share_and_the_rest_are_bounded_at_975_in_1000_each() -> None:
    """So that both hold at least 95 times in 100 (Bonferroni)."""
    effects = measure(np.random.default_rng(4), TRUTH, 0.5, 0.5)
    rest = VarianceEffect(
        effects[1].projection + effects[2].projection, *list(vars(effects[0]).values())[1:6]
    )
    own, others = effects[0].interval(0.975), rest.interval(0.975)
    share = shares(effects)["models"]
    assert share.low == pytest.approx(own[0] / (own[0] + others[1]))
    assert share.high == pytest.approx(own[1] / (own[1] + others[0]))


def test_over_seeds_alone_an_effect_over_its_error_is_the_f_of_repeated_measures() -> None:
    rng = np.random.default_rng(1)
    scores = TRUTH[:, None] + rng.standard_normal((9, 4))
    still = np.zeros((9, 9)), 10, np.cov(scores), 4
    table = pd.DataFrame(
        [
            {"model": model, "operator": operator, "seed": seed, "score": scores[arm, seed]}
            for arm, (model, operator) in enumerate(zip(*LEVELS, strict=True))
            for seed in range(4)
        ]
    )
    expected = AnovaRM(table, "score", "seed", within=["model", "operator"]).fit().anova_table
    effects = [VarianceEffect(p, scores.mean(1), *still) for p in (MODELS, OPERATORS, BOTH)]
    assert [e.squares / e.error for e in effects] == pytest.approx(list(expected["F Value"]))
    for effect, chance in zip(effects, expected["Pr > F"], strict=True):
        if chance < 0.5:  # the interval leaves 0 out exactly above the level of that test
            assert effect.interval(1 - 2.02 * chance)[0] > 0
        assert effect.interval(max(0.0, 1 - 1.98 * chance))[0] == 0


def test_a_net_sum_of_squares_is_right_on_average() -> None:
    rng = np.random.default_rng(2)
    nets = np.array([[e.net for e in measure(rng, TRUTH, 1.0, 1.5)] for _ in range(800)])
    expected = [float(TRUTH @ p @ TRUTH) for p in (MODELS, OPERATORS, BOTH)]
    assert nets.mean(0) == pytest.approx(expected, abs=4 * nets.std(0).max() / np.sqrt(800))


@pytest.mark.parametrize(("frames", "seeds"), [(0.5, 0.5), (1.0, 1.5), (0.1, 2.5)])
def test_intervals_hold_the_true_shares_95_times_in_100(frames: float, seeds: float) -> None:
    rng = np.random.default_rng(3)
    truth = dict(zip(NAMES, (0.9, 0.1, 0.0), strict=True))
    held = []
    for _ in range(150):
        found = shares(measure(rng, TRUTH, frames, seeds))
        held.append([found[name].low <= truth[name] <= found[name].high for name in NAMES])
    assert np.mean(held, axis=0).min() > 0.92


def test_of_arms_that_differ_in_nothing_the_net_variance_may_be_zero() -> None:
    rng = np.random.default_rng(4)
    held = [measure(rng, np.zeros(9), 1.0, 1.0)[0].interval(0.95)[0] == 0 for _ in range(300)]
    assert np.mean(held) > 0.94
