"""Says what each factor of a study does, by its levels, and how far factors interact."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations

from fcn_lab.report.arms import format_factor
from fcn_lab.report.comparison import ALPHA, correct_holm
from fcn_lab.report.formatting import format_interval
from fcn_lab.report.study import Study
from fcn_lab.report.variance import VarianceShare
from fcn_lab.text.terminal import format_percent


def describe_effects(study: Study) -> Iterator[str]:
    """Yields sentences on each factor of a grid, and on what they do together.

    Where two factors interact, what one of them does on average may hold for no value of the other:
    the one of most values is then looked at within each value of the other.
    """
    shares = study.shares()
    if len(study.factors) == 2 and shares is not None and shares["interaction"].low > 0:
        factor, other = sorted(study.factors, key=lambda name: -len(study.factors[name]))
        for value in study.factors[other]:
            yield from _describe_effect(study, factor, {other: value}, f"With {value}")
    else:
        for factor in study.factors:
            yield from _describe_effect(study, factor, {}, "Averaged over all else")
    yield _describe_interaction(study, shares)


def _describe_effect(study: Study, factor: str, rest: dict[str, str], place: str) -> Iterator[str]:
    """Yields sentences on a factor: its best level less its last, and levels that may be equal.

    Args:
        factor: the factor.
        rest: values of other factors, within which it is looked at; averaged over where not given.
        place: begins the sentence.
    """
    levels = [
        replace(study.average_arms({**rest, factor: value}), name=value)
        for value in study.factors[factor]
    ]
    levels.sort(key=lambda arm: -study.comparison.estimate_mean(arm).value)
    pairs = list(combinations(range(len(levels)), 2))
    gaps = [study.comparison.compare_arms(levels[i], levels[j]) for i, j in pairs]
    corrections = correct_holm([gap.p for gap in gaps])
    widest = pairs.index((0, len(levels) - 1))
    adjusted_p, alpha = corrections[widest]
    is_distinct = adjusted_p <= ALPHA
    yield (
        f"{place}, the best of the {format_factor(factor)}, {levels[0].name}, leads the last, "
        f"{levels[-1].name}, by {format_percent(gaps[widest].value, sign=True)} points "
        f"{format_interval(gaps[widest], 1 - alpha, sign=True)}"
        f"{'' if is_distinct else ', which is no distinguishable difference'}."
    )
    ties = [
        f"{levels[i].name} and {levels[j].name}"
        for (i, j), (p, _) in zip(pairs, corrections, strict=True)
        if p > ALPHA and j == i + 1
    ]
    if is_distinct and ties and len(levels) > 2:
        yield f"Not distinguishable there: {'; '.join(ties)}."


def _describe_interaction(study: Study, shares: Mapping[str, VarianceShare] | None) -> str:
    if shares is None:
        reason = (
            "it may all be error"
            if len(study.common_seeds) > 1
            else "two seeds that all arms have would tell it from the spread of trainings"
        )
        return f"How the variance between arms divides between factors is not given: {reason}."
    texts = [
        f"{format_factor(name)} {s.value:.0%} [{s.low:.0%}, {s.high:.0%}]".replace("%", " %")
        for name, s in shares.items()
    ]
    return (
        f"Of the variance between arms that is no error, {', '.join(texts[:-1])} and their "
        f"{texts[-1]}."
    )
