"""What is claimed about skips and upsampling, and what the published studies say to it."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau, ttest_ind

from fcn_lab.metrics.boundaries import boundary_f1
from fcn_lab.report.comparison import ALPHA, Arm, Comparison, compare_runs
from fcn_lab.report.gradient_flow import find_first_step, read_scores
from fcn_lab.report.intervals import (
    Floats,
    compute_mean_iou,
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
        expectation: which of the two is said.
        measure: a name of `MEASURES` or of `GOALS`.
        published_effect: the difference that others found, in points, where they give one.
    """

    text: str
    source: str
    study: str
    arms: tuple[str, str]
    expectation: Literal["more", "the same"] = "more"
    measure: str = "mean IoU"
    published_effect: float | None = None


@dataclass(frozen=True)
class Finding:
    """The difference of a claim's arms, in points of a per cent, and its interval."""

    value: float
    low: float
    high: float
    seeds: tuple[int, int]


def judge(claim: Claim, finding: Finding | None) -> Verdict:
    """Decides by experiments/README.md: what counts as an answer."""
    if finding is None:
        return "not run yet"
    is_negligible = finding.low > -NEGLIGIBLE_GAP and finding.high < NEGLIGIBLE_GAP
    if claim.expectation == "the same":
        if is_negligible:
            return "holds"
        return "cannot be told" if finding.low <= 0 <= finding.high else "does not hold"
    if finding.low > 0:
        return "holds"
    return "does not hold" if finding.high < 0 or is_negligible else "cannot be told"


def find_difference(claim: Claim, study: Study | None) -> Finding | None:
    """Finds the claim's difference, that of a score corrected by Holm for all pairs of the study.

    None where the study, or one of the arms, is not there yet.
    """
    if study is None or not {*claim.arms} <= {arm.name for arm in study.arms}:
        return None
    if claim.measure in GOALS:
        arms = {arm.name: arm for arm in study.arms}
        return compare_speed(*(arms[name] for name in claim.arms), share=GOALS[claim.measure])
    comparison = measure_arms(study, claim.measure)
    first, second = claim.arms
    gap = next(gap for gap in comparison.gaps if {gap.first, gap.second} == {first, second})
    sign = 1 if gap.first == first else -1
    bounds = sorted(100 * sign * end for end in gap.gap.interval(gap.level))
    seeds = {arm.name: len(arm.runs) for arm in study.arms}
    return Finding(100 * sign * gap.gap.value, *bounds, (seeds[first], seeds[second]))


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
        max(score for _, score in read_scores(run)) for run in (*first.runs, *second.runs)
    ]
    steps = [
        [math.log(find_first_step(run, share * min(best_scores)) or math.nan) for run in arm.runs]
        for arm in (first, second)
    ]
    test = ttest_ind(*steps)
    interval = test.confidence_interval(1 - ALPHA)
    gap = np.mean(steps[0]) - np.mean(steps[1])
    value, low, high = (100 * (1 - math.exp(end)) for end in (gap, interval.high, interval.low))
    return Finding(value, low, high, (len(first.runs), len(second.runs)))


def describe_details(study: Study) -> str:
    """Returns a sentence on the best arm against the last, at edges and in small classes.

    Empty of one arm, or of data without these classes.
    """
    if len(study.arms) < 2 or not {*SMALL_CLASSES} <= {*study.first_run.classes}:
        return ""
    arms = (study.arms[0].name, study.arms[-1].name)
    parts = []
    for measure, name in (
        ("boundary F1", "boundary F1"),
        ("IoU of small classes", "the mean IoU of pole, sign, fence, pedestrian and bicyclist"),
    ):
        finding = find_difference(Claim("", "", "", arms, measure=measure), study)
        assert finding is not None
        interval = f"[{finding.low:+.1f}, {finding.high:+.1f}]"
        parts.append(f"in {name} by {finding.value:+.1f} points {interval}")
    return f"The first leads the last, {arms[0]} and {arms[1]}, {' and '.join(parts)}."


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


# (R,N) weights of the frames -> (R,) scores in 0…1
MEASURES: dict[str, Callable[[Run, Floats], Floats]] = {
    "mean IoU": _score_mean_iou,
    "pixel accuracy": _score_pixel_accuracy,
    "boundary F1": _score_boundary_f1,
    "IoU of small classes": _score_small_classes,
}

# steps to a score on val -> its share of the least of the runs' best scores
GOALS = {"% fewer steps": 1.0, "% fewer steps to 0.9 of it": 0.9}

LONG_2015 = "Long, Shelhamer, Darrell 2015"
NOTES = "founding notes"
EDGES = {"boundary F1": "draws edges", "IoU of small classes": "finds small things"}
NO_SKIPS = "fcn8s skips=False"


def _claim_operators() -> Iterator[Claim]:
    for refine in ("conv", "none"):
        arms = tuple(f"{name} refine={refine}" for name in ("transposed", "bilinear", "max_unpool"))
        form = "refined" if refine == "conv" else "raw"
        transposed, bilinear, unpooling = arms
        yield Claim(
            f"learned (transposed) steps adapt better than fixed (bilinear), {form}",
            *(NOTES, "operators", (transposed, bilinear)),
        )
        yield Claim(
            f"fixed or learned makes no significant difference, {form}",
            *("FCN reference release", "operators", (transposed, bilinear), "the same"),
        )
        yield Claim(
            f"learned (transposed) steps draw edges better than fixed (bilinear), {form}",
            *(NOTES, "operators", (transposed, bilinear)),
            measure="boundary F1",
        )
        for measure, task in EDGES.items() if refine == "conv" else ():
            yield Claim(
                f"unpooling {task} better than bilinear, {form}",
                *("Badrinarayanan, Kendall, Cipolla 2017", "operators", (unpooling, bilinear)),
                measure=measure,
            )
        for value in (4.4, -2.1, -0.3) if refine == "conv" else ():
            arms = (unpooling, bilinear) if value > 0 else (bilinear, unpooling)
            comparative = "more" if value > 0 else "less"
            yield Claim(
                f"unpooling scores {comparative} than bilinear, {form}",
                *("published CamVid studies", "operators", arms),
                published_effect=abs(value),
            )


CLAIMS = (
    Claim("FCN-16s scores more than FCN-32s", LONG_2015, "skips", ("fcn16s", "fcn32s")),
    Claim("FCN-8s scores more than FCN-16s", LONG_2015, "skips", ("fcn8s", "fcn16s")),
    Claim("finer still: FCN-4s over FCN-8s", "this study", "skips", ("fcn4s", "fcn8s")),
    Claim("finer still: FCN-2s over FCN-4s", "this study", "skips", ("fcn2s", "fcn4s")),
    Claim("both skips together: FCN-8s over FCN-32s", LONG_2015, "skips", ("fcn8s", "fcn32s")),
    Claim(
        *("both skips restore edges", NOTES, "skips", ("fcn8s", "fcn32s")),
        measure="boundary F1",
    ),
    Claim(
        *("both skips restore small things", NOTES, "skips", ("fcn8s", "fcn32s")),
        measure="IoU of small classes",
    ),
    Claim("skips add to the same net without them", NOTES, "skips", ("fcn8s", NO_SKIPS)),
    Claim(
        *("skips restore edges", NOTES, "skips", ("fcn8s", NO_SKIPS)),
        measure="boundary F1",
    ),
    Claim(
        *("skips restore small things", NOTES, "skips", ("fcn8s", NO_SKIPS)),
        measure="IoU of small classes",
    ),
    *(
        Claim(
            f"skips help convergence: {goal_name} is reached sooner",
            *(NOTES, "skips", ("fcn8s", NO_SKIPS)),
            measure=goal,
        )
        for goal, goal_name in zip(GOALS, ("a score", "nine tenths of it"), strict=True)
    ),
    *_claim_operators(),
    Claim(
        *("augmentation adds about two points", NOTES, "augmentation", ("strong", "none")),
        measure="pixel accuracy",
        published_effect=2.0,
    ),
    Claim("pre-trained layers help", NOTES, "pretraining", ("finetuned", "scratch")),
    Claim(
        "training the upsampling alone suffices",
        *(NOTES, "pretraining", ("frozen", "finetuned"), "the same"),
    ),
    Claim(
        "stages beat all at once",
        *("Shelhamer, Long, Darrell 2017", "staged", ("staged", "train")),
        published_effect=0.1,
    ),
    Claim(
        "high momentum is worth points",
        *("Shelhamer, Long, Darrell 2017", "momentum", ("heavy", "adamw")),
        published_effect=5.0,
    ),
)
# the studies whose arms val is asked to order
ORDERED_STUDIES = ("skips", "operators", "grid")


def tabulate_claims(studies: dict[str, Study]) -> str:
    """Returns the Markdown table of all claims.

    Args:
        studies: the published ones by the name of their folder.
    """
    head = ("claim", "who", "verdict", "effect, points", "interval", "seeds", "study")
    rows = [head, ("---",) * 3 + ("---:",) * 3 + ("---",)]
    rows += [_format_claim(claim, studies.get(claim.study)) for claim in CLAIMS]
    rows += [_format_order(name, studies.get(name)) for name in ORDERED_STUDIES]
    return "\n".join(format_row(*row) for row in rows)


def format_row(*cells: str) -> str:
    """Returns a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def judge_order(study: Study) -> tuple[Verdict, float]:
    """Decides whether val puts the arms into the order of test, by Kendall's τ and its p-value."""
    scores = [
        [arm.average_number(split, "mean_iou") for arm in study.arms] for split in ("val", "test")
    ]
    tau, p = kendalltau(*scores)
    if not p <= ALPHA:
        return "cannot be told", float(tau)
    return ("holds" if tau > 0 else "does not hold"), float(tau)


def _format_order(name: str, study: Study | None) -> tuple[str, ...]:
    text, source = "val tells which arm test will prefer", NOTES
    if study is None or len(study.arms) < 2:
        return text, source, "*not run yet*", "", "", "", _link(name, study)
    verdict, tau = judge_order(study)
    seeds = sorted({len(arm.runs) for arm in study.arms})
    effect = f"Kendall's τ {tau:+.2f} of {len(study.arms)} arms"
    return (
        text,
        source,
        f"*{verdict}*",
        effect,
        "",
        " and ".join(map(str, seeds)),
        _link(name, study),
    )


def _link(name: str, study: Study | None) -> str:
    return f"`{name}`" if study is None else f"[{name}]({name}/README.md)"


def _format_claim(claim: Claim, study: Study | None) -> tuple[str, ...]:
    finding = find_difference(claim, study)
    verdict = f"*{judge(claim, finding)}*"
    link = _link(claim.study, study)
    if finding is None:
        return claim.text, claim.source, verdict, "", "", "", link
    if claim.published_effect is not None:
        is_inside = finding.low <= claim.published_effect <= finding.high
        verdict += f"; {claim.published_effect:+.1f} is {'in' if is_inside else 'out'}side"
    effect = f"{finding.value:+.1f} {claim.measure}"
    interval = f"[{finding.low:+.1f}, {finding.high:+.1f}]"
    seeds = " and ".join(map(str, dict.fromkeys(finding.seeds)))
    return claim.text, claim.source, verdict, effect, interval, seeds, link
