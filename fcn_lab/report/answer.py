"""Writes the answer of a study in sentences that are made from its numbers."""

import math
from collections.abc import Iterator

from fcn_lab.report.arms import format_factor
from fcn_lab.report.blocks import FrameBlocks
from fcn_lab.report.effects import describe_effects
from fcn_lab.report.formatting import format_interval
from fcn_lab.report.study import Study
from fcn_lab.text.terminal import format_count, format_percent


def describe_question(study: Study) -> list[str]:
    """Returns a sentence on what was varied, on which data, and with how many seeds."""
    factors = [f"{format_factor(f)} ({', '.join(values)})" for f, values in study.factors.items()]
    seeds = f"seed{'s' * (len(study.seeds) > 1)} {', '.join(map(str, study.seeds))}"
    cut = study.comparison.blocks
    drives = "" if cut.has_single_frames else f", from {format_count(len(cut.sizes), 'drive')}"
    runs = f"{format_count(len(study.runs), 'finished run')} with {seeds}"
    summary = f"There is one arm: {runs}"
    if factors:
        # a study that states its question has it in the title
        question = "" if study.question else "What does each choice change? "
        choices = f"{question}Asked were {' × '.join(factors)}"
        summary = f"{choices}: {format_count(len(study.arms), 'arm')}, {runs}"
    note = f"; without scores: {format_count(len(study.missing_cells), 'cell')}"
    return [
        f"{summary}{note if study.missing_cells else ''}.",
        f"All were scored on {format_count(len(study.first_run.names), 'frame')} of "
        f"{study.first_run.split}{drives}, by the protocol {study.first_run.protocol}.",
    ]


def describe_answer(study: Study) -> list[str]:
    """Returns the answer, a paragraph of sentences."""
    return list(_list_sentences(study))


def _list_sentences(study: Study) -> Iterator[str]:
    best_arm, mean = study.arms[0], study.comparison.means[study.arms[0].name]
    interval = format_interval(mean) if mean.is_known else "(its interval is not known)"
    score = f"{format_percent(mean.value)} % {interval}"
    if len(study.arms) == 1:
        yield f"The mean IoU of {best_arm.name} is {score}."
    else:
        yield f"The highest mean IoU is that of {best_arm.name}: {score}."
        yield describe_ties(study)
    if study.factors and not study.is_grid:
        yield (
            "Effects of single factors are not given: not every combination has an arm, or the "
            "arms share no seed."
        )
    elif len(study.factors) > 1:
        yield from describe_effects(study)
    singles = sum(len(arm.runs) == 1 for arm in study.arms)
    for run in study.runs:
        yield from run.alterations
    if len(study.arms) == singles == 1:
        yield "It has one seed: its interval knows nothing of the spread between trainings."
    elif singles == len(study.arms):
        yield (
            "Each arm has one seed: their intervals know nothing of the spread between trainings, "
            "and a difference that is called distinct may be one of two seeds."
        )
    elif singles:
        verb = "has" if singles == 1 else "have"
        yield f"{singles} of the arms {verb} one seed; the spread is taken from the other arms."


def describe_ties(study: Study) -> str:
    """Returns a sentence on the arms that the best one cannot be told apart from."""
    gaps, best_arm = study.comparison.gaps, study.arms[0].name
    ties = [gap.second for gap in gaps if gap.first == best_arm and not gap.is_distinct]
    distinct_pairs = sum(gap.is_distinct for gap in gaps)
    overall = f" {distinct_pairs} of the {len(gaps)} pairs of arms differ after Holm's correction."
    overall *= len(gaps) > 1
    if not ties:
        return f"Every other arm is distinctly worse.{overall}"
    if len(ties) == len(study.arms) - 1:
        return f"No other arm can be told apart from it.{overall}"
    names = ", ".join(ties) if len(ties) <= 4 else f"{', '.join(ties[:3])} and {len(ties) - 3} more"
    return f"It cannot be told apart from {names}; the others are distinctly worse.{overall}"


def describe_method(study: Study) -> list[str]:
    """Returns sentences on how the numbers were computed, with the papers."""
    cut = study.comparison.blocks
    return [
        "The score is the mean IoU of confusion matrices summed over all frames, void ignored; a "
        "class absent from truth and prediction drops out.",
        *_describe_guess(study),
        _describe_resampling(cut),
        _describe_seeds(study),
        "The variance over frames and that of the mean over seeds are added, with Student's t and"
        " Satterthwaite's degrees of freedom (1946). On simulated frames of two drives as long as "
        "CamVid's that remember up to 0.8 of the one before, with one seed, or three that spread "
        "no wider than the frames, these intervals hold the truth 93 to 97 times in 100; with "
        "stronger memory (0.95: 81 times), two seeds, or seeds that spread far wider than the "
        "frames they hold it less often.",
        *_describe_width(study),
        "All pairs of arms are tested together and corrected by Holm (1979); each difference's "
        "interval has the level of its test, so that it holds zero exactly where the pair is not "
        "distinguishable. Ranks are the places that these differences leave open. Seeds to settle "
        "is how many an arm would show the difference four times in five, were it as large as "
        "it seems (noncentral t); where no number would, more frames are needed.",
        "Shares of the variance between arms are net of what error alone adds to a sum of squares, "
        "as in ω² (Hays 1963) and ε² (Kelley 1935), with intervals of at least 95 % by the "
        "noncentral F (Steiger 2004). They are given where the arms differ by more than error.",
        "Boundary F1: tolerance 0.75 % of the diagonal (Csurka et al. 2013; Badrinarayanan, "
        "Kendall, Cipolla 2017). Trimap IoU: only pixels that near to a boundary (Krähenbühl and "
        "Koltun 2011). Checkerboard: share of the score map's variance that neighbouring cells of "
        "the stride have in common, 0 for noise and smooth maps of any size (after Odena, "
        "Dumoulin, Olah 2016).",
    ]


def _describe_guess(study: Study) -> Iterator[str]:
    if not study.first_run.has_recorded_drives and not study.comparison.blocks.has_single_frames:
        yield (
            "The data do not say which frames belong to one drive: those are taken for it whose "
            "names differ in their number alone. Of pictures that have nothing to do with each "
            "other this makes intervals wider than they need be."
        )


def _describe_resampling(cut: FrameBlocks) -> str:
    if cut.has_single_frames:
        return (
            "Each frame is taken for independent of the others: frames are resampled one by one "
            "(Efron 1979), the same for all arms, so that differences are paired."
        )
    if cut.whole_drives:
        return (
            f"Frames of a drive are alike: the drives, of which there are {len(cut.sizes)}, are "
            "resampled whole (Efron 1979), the same for all arms, so that differences are paired."
        )
    exception = ", in a short drive half of it" if min(cut.sizes) < 2 * cut.length else ""
    few = "one drive cannot" if len(cut.sizes) == 1 else "so few cannot"
    return (
        f"Neighbouring frames are not independent. The frames of each drive "
        f"({' + '.join(map(str, cut.sizes))}) are resampled in circular blocks of {cut.length} "
        "(Politis and Romano 1992), the same for all arms, so that differences are paired. The "
        f"block is 2√N frames long{exception}: intervals cover best with blocks that grow with √N "
        "and are longer than the variance alone would ask for (Sun, Phillips, Jin 2008; Lazarus, "
        f"Lewis, Stock, Watson 2018). How much drives differ {few} tell: intervals are for more "
        "frames of the same drives."
    )


def _describe_seeds(study: Study) -> str:
    variance = study.comparison.seed_variance
    if not variance.residual_freedom:
        return "The spread between trainings is not known, since each arm has one seed."
    if len(study.arms) == 1:
        return "The variance between seeds is that of this arm."
    pooled_arms = study.comparison.pooled_arms
    spreads = [arm.seed_spread() for arm in pooled_arms if len(arm.runs) > 1]
    others = [arm.name for arm in study.arms if arm not in pooled_arms]
    exception = (
        f" Arms that score less than half of the best tell nothing of it: {', '.join(others)}."
        if others
        else ""
    )
    pairing = (
        "what a seed does to all arms alike drops out of their differences"
        if variance.between_freedom
        else "arms that have different seeds are taken for independent"
    )
    return (
        "The variance between seeds is pooled over the arms, as in an analysis of variance (Fisher "
        f"1925), with {variance.residual_freedom:.0f} degrees of freedom; {pairing}. Trainings of "
        f"an arm spread by {100 * math.sqrt(variance.residual):.2f} points of mean IoU beside "
        f"that, and arm by arm, by {100 * min(spreads):.2f} to {100 * max(spreads):.2f}.{exception}"
    )


def _describe_width(study: Study) -> Iterator[str]:
    if (times := study.too_narrow) is None:
        yield "The frames do not tell how far scores spread: no interval is given that needs it."
    elif not study.comparison.blocks.has_single_frames:
        yield (
            "A bootstrap that takes frames for independent would make what they add to the best "
            f"arm's interval {times:.1f} times narrower."
        )
