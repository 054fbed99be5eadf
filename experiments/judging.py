"""How a published study judges a claim: the difference of two arms, or of the steps they take."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau
from scipy.stats import t as student_t

from fcn_lab.metrics.boundaries import boundary_f1
from fcn_lab.report.comparison import ALPHA, Arm, Comparison, compare_runs, correct_holm
from fcn_lab.report.formatting import format_ends
from fcn_lab.report.gradient_flow import (
    find_first_step,
    measure_norms,
    measure_shares,
    read_gradients,
    read_scores,
)
from fcn_lab.report.intervals import (
    Floats,
    compute_mean_iou,
    estimate_score,
    resample_class_iou,
)
from fcn_lab.report.runs import Run
from fcn_lab.report.study import Study
from fcn_lab.runs.records import read_arrays

Verdict = Literal["holds", "does not hold", "cannot be told", "not run yet"]
SMALL_CLASSES = ("Pole", "SignSymbol", "Fence", "Pedestrian", "Bicyclist")
# points of a per cent; a difference whose interval lies within is none
NEGLIGIBLE_GAP = 1.0


@dataclass(frozen=True)
class Claim:
    """A sentence about two arms of a study.

    Args:
        text: the claim.
        source: who makes it.
        study: the folder of experiments/ that asks it.
        arms: the first is said to score more than the second, or as much.
        expectation: which of the two is said; of contexts, "different" says that they change it.
        measure: a name of `MEASURES` or of `GOALS`, or `GRADIENT`.
        published_effect: the difference that others found, in points, where they give one.
        contexts: begin the names of arms, `arms` end them: the claim is about the arms' difference
            in the first context less that in the second.
    """

    text: str
    source: str
    study: str
    arms: tuple[str, str]
    expectation: Literal["more", "the same", "different"] = "more"
    measure: str = "mean IoU"
    published_effect: float | None = None
    contexts: tuple[str, str] | None = None

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Returns the names of the arms that are compared, a pair for each context."""
        if self.contexts is None:
            return [self.arms]
        first, second = self.arms
        return [(f"{context} {first}", f"{context} {second}") for context in self.contexts]


@dataclass(frozen=True)
class Finding:
    """The difference of a claim's arms, in points of a per cent, and its interval."""

    value: float
    low: float
    high: float
    seeds: tuple[int, int]

    @property
    def interval(self) -> str:
        """Returns the interval as text."""
        return format_ends(self.low / 100, self.high / 100)


def judge(claim: Claim, finding: Finding | None) -> Verdict:
    """Decides by experiments/README.md: what counts as an answer."""
    if finding is None:
        return "not run yet"
    is_negligible = finding.low > -NEGLIGIBLE_GAP and finding.high < NEGLIGIBLE_GAP
    has_sign = not finding.low <= 0 <= finding.high
    if claim.expectation == "the same":
        if is_negligible:
            return "holds"
        return "does not hold" if has_sign else "cannot be told"
    if claim.expectation == "different":
        if has_sign:
            return "holds"
        return "does not hold" if is_negligible else "cannot be told"
    if finding.low > 0:
        return "holds"
    return "does not hold" if finding.high < 0 or is_negligible else "cannot be told"


def find_difference(claim: Claim, study: Study | None) -> Finding | None:
    """Finds the claim's difference, that of a score corrected by Holm for all pairs of the study.

    None where the study, or one of the arms, is not there yet.
    """
    names = {name for pair in claim.pairs for name in pair}
    if study is None or not names <= {arm.name for arm in study.arms}:
        return None
    if claim.contexts is not None:
        return compare_contexts(claim, study)
    arms = {arm.name: arm for arm in study.arms}
    pair = [arms[name] for name in claim.arms]
    if claim.measure in GOALS:
        return compare_speed(*pair, share=GOALS[claim.measure])
    if claim.measure == GRADIENT:
        return compare_gradients(*pair)
    comparison = measure_arms(study, claim.measure)
    first, second = claim.arms
    gap = next(gap for gap in comparison.gaps if {gap.first, gap.second} == {first, second})
    sign = 1 if gap.first == first else -1
    bounds = sorted(100 * sign * end for end in gap.gap.interval(gap.level))
    seeds = {arm.name: len(arm.runs) for arm in study.arms}
    return Finding(100 * sign * gap.gap.value, *bounds, (seeds[first], seeds[second]))


def compare_contexts(claim: Claim, study: Study) -> Finding:
    """Compares how far two arms differ in one context with how far they differ in another.

    The interval is corrected by Holm for all arms that are compared with the second one so.
    """
    assert claim.contexts is not None
    comparison = measure_arms(study, claim.measure)
    arms = {arm.name: arm for arm in comparison.arms}
    endings = [
        {name.removeprefix(f"{context} ") for name in arms if name.startswith(f"{context} ")}
        for context in claim.contexts
    ]
    family = sorted(set.intersection(*endings) - {claim.arms[1]})
    estimates = []
    for ending in family:
        pairs = replace(claim, arms=(ending, claim.arms[1])).pairs
        (a, b), (c, d) = [[arms[name] for name in pair] for pair in pairs]
        points = [float(arm.mean_points.mean()) for arm in (a, b, c, d)]
        value = (points[0] - points[1]) - (points[2] - points[3])
        draws = (a.mean_draws - b.mean_draws) - (c.mean_draws - d.mean_draws)
        trainings = [len(arm.runs) for arm in (a, b, c, d)]
        spread = comparison.seed_variance.estimate_difference(trainings)
        estimates.append(estimate_score(value, draws, comparison.blocks.freedom, spread))
    corrections = correct_holm([estimate.p for estimate in estimates])
    place = family.index(claim.arms[0])
    estimate, (_, alpha) = estimates[place], corrections[place]
    ends = [100 * end for end in estimate.interval(1 - alpha)]
    seeds = [len(arms[pair[0]].runs) for pair in claim.pairs]
    return Finding(100 * estimate.value, *ends, (seeds[0], seeds[1]))


def compare_speed(first: Arm, second: Arm, share: float) -> Finding:
    """Compares how many steps two arms take to a score on val that all their runs reach.

    Steps are compared by their ratio: a t test of their logarithms over the seeds. A run reaches a
    score at the first validation that finds it.

    Args:
        first: the arm that is said to need fewer.
        second: the other one.
        share: of the least of the runs' best scores.

    Returns:
        How many steps of the second arm the first one saves, in per cent.
    """
    best_scores = [
        max((score for _, score in read_scores(run)), default=0.0)
        for run in (*first.runs, *second.runs)
    ]
    steps = [
        [math.log(find_first_step(run, share * min(best_scores)) or math.nan) for run in arm.runs]
        for arm in (first, second)
    ]
    gap, low, high = compare_logarithms(*steps)
    ends = (100 * (1 - math.exp(end)) for end in (gap, high, low))
    return Finding(*ends, (len(first.runs), len(second.runs)))


def compare_gradients(first: Arm, second: Arm) -> Finding:
    """Compares how much of the gradient arrives in the stage farthest from the loss.

    That stage's share is its median norm over the training's steps, in units of the last stage's.

    Returns:
        By how many per cent the first arm's share is larger, from a t test of its logarithm.
    """
    shares = [
        [
            math.log(next(iter(measure_shares(measure_norms(read_gradients(run))).values())))
            for run in arm.runs
        ]
        for arm in (first, second)
    ]
    ends = (100 * (math.exp(end) - 1) for end in compare_logarithms(*shares))
    return Finding(*ends, (len(first.runs), len(second.runs)))


def compare_logarithms(
    first: Sequence[float], second: Sequence[float]
) -> tuple[float, float, float]:
    """Returns the difference of their means, and its interval by Student's t, low end first."""
    # not ttest_ind, which warns where all runs of an arm take the same number of steps
    gap, freedom = float(np.mean(first) - np.mean(second)), len(first) + len(second) - 2
    squares = sum((len(own) - 1) * np.var(own, ddof=1) for own in (first, second))
    variance = squares / freedom * (1 / len(first) + 1 / len(second))
    radius = float(student_t.ppf(1 - ALPHA / 2, freedom) * np.sqrt(variance))
    return gap, gap - radius, gap + radius


def measure_arms(study: Study, measure: str) -> Comparison:
    """Compares the study's arms by another score of the same frames, resampled alike."""
    score, weights = MEASURES[measure], study.comparison.blocks.weights()
    ones = np.ones((1, weights.shape[1]))

    def resample(runs: Sequence[Run], draws: Floats) -> Floats:
        return np.stack([score(run, draws) for run in runs])[..., None]

    arms = [
        replace(arm, points=resample(arm.runs, ones)[:, 0], draws=resample(arm.runs, weights))
        for arm in study.arms
    ]
    return compare_runs(arms, study.comparison.blocks)


def _score_mean_iou(run: Run, weights: Floats) -> Floats:
    return compute_mean_iou(resample_class_iou(weights, run.matrices))


def _score_small_classes(run: Run, weights: Floats) -> Floats:
    labels = [run.classes.index(name) for name in SMALL_CLASSES]
    return compute_mean_iou(resample_class_iou(weights, run.matrices)[:, labels])


def _score_pixel_accuracy(run: Run, weights: Floats) -> Floats:
    correct_pixels = np.trace(run.matrices, axis1=1, axis2=2)
    result: Floats = (weights @ correct_pixels) / (weights @ run.matrices.sum((1, 2)))
    return result


def _score_boundary_f1(run: Run, weights: Floats) -> Floats:
    counts: NDArray[np.int64] = read_arrays(run.folder / "confusions.npz")["boundary"]
    f1 = boundary_f1(torch.from_numpy(counts)).double().numpy()
    is_finite = np.isfinite(f1)
    result: Floats = (weights @ np.where(is_finite, f1, 0)) / (weights @ is_finite)
    return result


def has_boundaries(study: Study) -> bool:
    """Returns whether all runs counted the pixels along boundaries."""
    return all("boundary" in read_arrays(run.folder / "confusions.npz") for run in study.runs)


# (R,N) weights of the frames -> (R,) scores in 0…1
MEASURES: dict[str, Callable[[Run, Floats], Floats]] = {
    "mean IoU": _score_mean_iou,
    "pixel accuracy": _score_pixel_accuracy,
    "boundary F1": _score_boundary_f1,
    "IoU of small classes": _score_small_classes,
}

# steps to a score on val -> its share of the least of the runs' best scores
GOALS = {"% fewer steps": 1.0, "% fewer steps to 0.9 of it": 0.9}


GRADIENT = "% more gradient in the first stage, the last one's as unit"


def judge_order(first: Sequence[float], second: Sequence[float]) -> tuple[Verdict, float]:
    """Decides whether two scores order the same arms alike, by Kendall's τ and its p-value."""
    tau, p = kendalltau(first, second)
    if not p <= ALPHA:
        return "cannot be told", float(tau)
    return ("holds" if tau > 0 else "does not hold"), float(tau)
