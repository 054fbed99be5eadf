"""The report's tables, one form for HTML, Markdown, LaTeX and CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from fcn_lab.metrics.scores import WIDTHS, compute_class_accuracy
from fcn_lab.rendering import html as page
from fcn_lab.report.comparison import Arm, Gap
from fcn_lab.report.formatting import (
    format_interval,
    format_probability,
    format_rank,
)
from fcn_lab.report.study import Study
from fcn_lab.text.escaping import UNKNOWN_VALUE, csv_row, latex_text, markdown_table
from fcn_lab.text.terminal import format_percent

# the most pairs that are all shown: those of 25 arms
PAIRS_LIMIT = 300
Cell = str | float | int | None


@dataclass(frozen=True)
class Table:
    """Rows under columns; the first `words` columns hold words, the others numbers."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    words: int = 1

    def html(self) -> Markup:
        """Returns the table for the page."""
        return page.render_table(self.columns, self.rows, self.caption, self.words)

    def markdown(self) -> str:
        """Returns the table with Markdown's pipes."""
        return markdown_table(self.columns, self.rows, self.words)

    def latex(self) -> str:
        """Returns the table for a paper; the package booktabs draws its rules."""
        line_end = r"\\"
        lines = [
            " & ".join(latex_text(UNKNOWN_VALUE if cell is None else str(cell)) for cell in row)
            + f" {line_end}"
            for row in [self.columns, *self.rows]
        ]
        numbers = "r" * (len(self.columns) - self.words)
        begin = rf"\begin{{tabular}}{{{'l' * self.words}{numbers}}}"
        rules = (r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule", r"\end{tabular}")
        return "\n".join([f"% {self.caption}", begin, *rules]) + "\n"

    def csv(self) -> str:
        """Returns the table as CSV, with a header."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows(map(csv_row, [self.columns, *self.rows]))
        return file.getvalue()


def tabulate_arms(study: Study) -> Table:
    """Tabulates arms: rank, mean IoU with its interval, other scores as means over seeds."""
    split, ranks = study.first_run.split, study.comparison.ranks()
    extra = {"pixel_accuracy": "G", "mean_accuracy": "C", "fw_iou": "fw IoU", "boundary_f1": "bF1"}
    rows: list[list[Cell]] = []
    for arm in study.arms:
        mean = study.comparison.means[arm.name]
        spread = f"{100 * arm.seed_spread():.2f}" if len(arm.runs) > 1 else None
        scores = [
            *(arm.average_number(split, name) for name in extra),
            arm.average_number("val", "mean_iou"),
        ]
        rank = format_rank(*ranks[arm.name])
        first: list[Cell] = [arm.name, rank, format_percent(mean.value), format_interval(mean)]
        rows.append([*first, spread, len(arm.runs), *map(format_percent, scores)])
    columns = [
        "arm",
        "rank",
        "mean IoU",
        "95 %",
        "sd seeds",
        "seeds",
        *extra.values(),
        "val mean IoU",
    ]
    return Table(f"Scores on {split} in %, best first", columns, rows)


def tabulate_raw(study: Study) -> Table:
    """Returns every arm in plain fractions, for other programs."""
    split, ranks = study.first_run.split, study.comparison.ranks()
    names = ("pixel_accuracy", "mean_accuracy", "fw_iou", "boundary_f1", "checkerboard_index")
    columns = ["arm", *study.factors, "seeds", "mean_iou", "low", "high", "rank_best", "rank_worst"]
    rows: list[list[Cell]] = []
    for arm in study.arms:
        mean = study.comparison.means[arm.name]
        values = [study.values[arm.name][factor] for factor in study.factors]
        bounds = mean.interval() if mean.is_known else (None, None)
        numbers = [mean.value, *bounds, *ranks[arm.name]]
        others = (arm.average_number(split, name) for name in names)
        rows.append([arm.name, *values, len(arm.runs), *numbers, *others])
    return Table("arms", [*columns, *names], rows)


def choose_gaps(study: Study) -> list[Gap]:
    """Returns all pairs of arms, or of many those with the best arm and those along one factor.

    All pairs are tested and corrected together, also those that are not shown.
    """
    gaps = study.comparison.gaps
    if len(gaps) <= PAIRS_LIMIT:
        return gaps
    best_arm = study.arms[0].name

    def differ_in_one(gap: Gap) -> bool:
        first, second = study.values[gap.first], study.values[gap.second]
        return sum(first[factor] != second[factor] for factor in study.factors) == 1

    gaps_to_best = [gap for gap in gaps if gap.first == best_arm]
    neighbours = [gap for gap in gaps if gap.first != best_arm and differ_in_one(gap)]
    return [*gaps_to_best, *(neighbours if len(study.factors) > 1 else [])]


def tabulate_gaps(study: Study, measure: str = "mean IoU") -> Table:
    """Returns the pairs of arms that `choose_gaps` chooses.

    Args:
        study: the runs, with the comparison to show.
        measure: the score that it compares.
    """
    rows = [_gap_row(gap) for gap in choose_gaps(study)]
    columns = ["pair", "verdict", "difference", "interval", "level", "p (Holm)", "seeds to settle"]
    caption = f"Differences in {measure}, points of a per cent"
    if len(rows) < len(study.comparison.gaps):
        caption += f"; {len(rows):,} of {len(study.comparison.gaps):,} pairs: those against the "
        caption += "best arm"
        if len(study.factors) > 1:
            caption += ", and those that differ in one factor alone"
    return Table(caption, columns, rows, words=2)


def tabulate_raw_gaps(study: Study) -> Table:
    """Returns the pairs of arms in plain fractions, for other programs; unknown cells are empty."""
    rows: list[list[Cell]] = []
    for gap in choose_gaps(study):
        bounds = gap.gap.interval(gap.level) if gap.gap.is_known else (None, None)
        seeds_to_settle = None if gap.is_distinct else gap.seeds
        numbers = [gap.gap.value, *bounds, gap.level, gap.adjusted_p, seeds_to_settle]
        rows.append([gap.first, gap.second, int(gap.is_distinct), *numbers])
    columns = ["first", "second", "distinct", "difference", "low", "high", "level", "p_holm"]
    return Table("differences", [*columns, "seeds_to_settle"], rows, words=2)


def _gap_row(gap: Gap) -> list[Cell]:
    seeds_to_settle = "no number" if gap.seeds is None else f"{gap.seeds:,}"
    if gap.is_distinct:
        seeds_to_settle = ""
    elif gap.gap.seeds is None:
        seeds_to_settle = "unknown: one seed"
    return [
        f"{gap.first} − {gap.second}",
        "distinct" if gap.is_distinct else "not distinguishable",
        format_percent(gap.gap.value, sign=True),
        format_interval(gap.gap, gap.level, sign=True),
        f"{100 * gap.level:.2f} %",
        format_probability(gap.adjusted_p),
        seeds_to_settle,
    ]


def tabulate_classes(study: Study) -> Table:
    """Returns the best arm less the last, class by class; for a single arm its own scores."""
    best_arm, last_arm = study.arms[0], study.arms[-1]
    accuracies = [[*map(format_percent, average_class_accuracy(a))] for a in (best_arm, last_arm)]
    if best_arm is last_arm:
        rows_of_arm = [
            [name, format_percent(_average_class(best_arm, label)), accuracies[0][label]]
            for label, name in enumerate(study.first_run.classes)
        ]
        caption = f"IoU and accuracy of each class in %: {best_arm.name}"
        return Table(caption, ["class", "IoU", "accuracy"], rows_of_arm)
    rows: list[list[Cell]] = []
    difference: list[Cell]
    for label, name in enumerate(study.first_run.classes):
        best_iou, last_iou = (_average_class(arm, label) for arm in (best_arm, last_arm))
        if best_iou is not None and last_iou is not None:
            gap = study.comparison.compare_arms(best_arm, last_arm, label)
            # a class that only some seeds have gets no interval
            interval = format_interval(gap, sign=True) if np.isfinite(gap.value) else None
            difference = [format_percent(best_iou - last_iou, sign=True), interval]
        elif best_iou is not None or last_iou is not None:
            difference = [None, None]
        else:
            continue
        scores = [format_percent(best_iou), format_percent(last_iou)]
        rows.append([name, *scores, *difference, *(column[label] for column in accuracies)])
    caption = (
        f"IoU in % of each class: {best_arm.name} against {last_arm.name}, 95 % intervals, "
        f"corrected neither for {len(study.first_run.classes)} classes nor for the choice of the "
        "arms; a class that more than 5 % of the resamples lack has none. Beside it the accuracy, "
        "the share of the class's pixels that are found"
    )
    iou = ["class", best_arm.name, last_arm.name, "difference", "interval"]
    return Table(caption, [*iou, *(f"accuracy, {arm.name}" for arm in (best_arm, last_arm))], rows)


def average_class_accuracy(arm: Arm) -> list[float | None]:
    """Returns each class's mean accuracy over the seeds that have one; None where none has.

    It is counted from the matrices, since metrics.json of earlier runs lacks it.
    """
    accuracies = [compute_class_accuracy(run.matrices.sum(0).astype(float)) for run in arm.runs]
    known_values = (column[~np.isnan(column)] for column in np.stack(accuracies, 1))
    return [float(column.mean()) if len(column) else None for column in known_values]


def _average_class(arm: Arm, label: int) -> float | None:
    """Returns the mean over the seeds that have the class; None where none has."""
    known_points = arm.points[~np.isnan(arm.points[:, label]), label]
    return float(known_points.mean()) if len(known_points) else None


def tabulate_edges(study: Study) -> Table:
    """Returns every arm: boundary F1, IoU in the trimaps, the checkerboard index."""
    split = study.first_run.split
    rows: list[list[Cell]] = []
    for arm in study.arms:
        bands = [format_percent(arm.average_number(split, "trimap_iou", width)) for width in WIDTHS]
        others = [
            format_percent(arm.average_number(split, name))
            for name in ("boundary_f1", "checkerboard_index")
        ]
        rows.append([arm.name, *others, *bands])
    columns = ["arm", "boundary F1", "checkerboard", *(f"{width} px" for width in WIDTHS)]
    return Table("Boundary F1, checkerboard index and mean IoU by band, in %", columns, rows)


def tabulate_missing(study: Study) -> Table:
    """Returns the cells without scores."""
    rows = [[cell.name, cell.status, cell.reason or None] for cell in study.missing_cells]
    return Table("Cells without scores", ["cell", "state", "reason"], rows, words=3)
