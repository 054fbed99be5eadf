"""``python -m fcn_lab.report.gradient_flow FOLDER [SCORE]``: gradients by stage, steps to a score.

For the finished runs in a folder that noted the norms of their gradient, it prints by arm:

* for each stage its median norm over the run's steps, divided by that of the last stage, the one
  nearest to the loss: the share of the gradient that arrives; and that last one's norm. The mean
  over seeds, and their least and most;
* the first step at which val mean IoU was at least SCORE, for each seed; by default SCORE is the
  least of the runs' best scores, which all of them reached.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median

from fcn_lab.errors import UserError
from fcn_lab.report.arms import group_runs
from fcn_lab.report.runs import Run, find_runs
from fcn_lab.runs.names import GRADIENTS, MONITOR
from fcn_lab.runs.records import read_rows
from fcn_lab.text.escaping import UNKNOWN_VALUE, markdown_table


def measure_norms(rows: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """Returns each stage's median norm over the steps."""
    stages = [column for column in rows[0] if column != "step"]
    return {stage: median(float(row[stage]) for row in rows) for stage in stages}


def measure_shares(norms: Mapping[str, float]) -> dict[str, float]:
    """Returns each stage's median norm in units of the last stage's."""
    unit = list(norms.values())[-1]
    return {stage: norm / unit if unit else math.nan for stage, norm in norms.items()}


def read_scores(run: Run) -> list[tuple[int, float]]:
    """Returns step and val mean IoU of each validation."""
    rows = (row for row in run.history if row.get(MONITOR) and row.get("step"))
    return [(int(row["step"]), float(row[MONITOR])) for row in rows]


def find_first_step(run: Run, score: float) -> int | None:
    """Returns the first step at which the run was validated at this score or above."""
    return next((step for step, iou in read_scores(run) if iou >= score), None)


def read_gradients(run: Run) -> list[dict[str, str]]:
    """Returns the rows of gradients.csv; none where the run noted none."""
    path = run.folder / GRADIENTS
    return read_rows(path) if path.is_file() else []


def format_report(folder: Path, score: float | None = None) -> str:
    """Returns the table, in Markdown.

    Raises:
        UserError: no run there noted the norms of its gradient.
    """
    all_runs, damages = find_runs([folder])
    for damage in damages:
        print(damage, file=sys.stderr)
    runs = [run for run in all_runs if read_gradients(run)]
    if not runs:
        raise UserError(f"{folder}: no run there has a {GRADIENTS}; trainer.gradients_every=10")
    best_scores = [max((s for _, s in read_scores(run)), default=0.0) for run in runs]
    goal = min(best_scores) if score is None else score
    column = f"steps to {100 * goal:.1f} mean IoU on val"
    columns = ("", "gradient by stage, the last one's as unit", "norm of the last one's", column)
    rows = []
    for arm, members in group_runs(runs).items():
        norms = [measure_norms(read_gradients(run)) for run in members]
        shares = [measure_shares(norm) for norm in norms]
        units = format_range([list(norm.values())[-1] for norm in norms])
        stages = "; ".join(
            f"{stage} {format_range([share[stage] for share in shares])}" for stage in shares[0]
        )
        members.sort(key=lambda run: run.seed)
        steps = [find_first_step(run, goal) for run in members]
        texts = ", ".join("never" if step is None else f"{step:,}" for step in steps)
        rows.append((arm, stages, units, texts))
    return markdown_table(columns, rows, len(columns))


def format_range(values: Sequence[float]) -> str:
    """Returns the mean, with the least and the largest of several; a dash where there is none."""
    if not all(map(math.isfinite, values)):
        return UNKNOWN_VALUE
    bounds = f" ({min(values):.2g}…{max(values):.2g})" if len(values) > 1 else ""
    return f"{fmean(values):.2g}{bounds}"


def main(arguments: Sequence[str]) -> int:
    """Prints the table of a folder."""
    try:
        folder, *words = arguments
        goal = float(*words) if words else None
        if goal is not None and not 0 <= goal <= 1:
            raise ValueError
    except (ValueError, TypeError):
        print(f"expected FOLDER [SCORE], a score from 0 to 1; got {' '.join(arguments)}")
        return 2
    try:
        print(format_report(Path(folder), goal))
    except UserError as error:
        print(f"fcn-lab: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
