"""Describes a study, an experiment that is a sweep: its question, and the time it will take."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from fcn_lab.errors import UserError
from fcn_lab.runs.outcomes import SECONDS_LIMIT
from fcn_lab.runs.records import DamagedFile, read_json
from fcn_lab.runs.statuses import FINAL_STATUSES, RunStatus
from fcn_lab.runs.sweep import Cell, SweepFolder


def require_question(study: object) -> None:
    """Refuses a study without a question.

    Raises:
        UserError: it is neither null nor a mapping with a question.
    """
    if study is not None and not (
        isinstance(study, dict) and isinstance(study.get("question"), str)
    ):
        raise UserError(f"study={study}: expected null, or a mapping with a `question`")


def locate_estimates(folder: Path) -> Path:
    """Returns the file of the seconds that cells will take, which the check of the cells writes."""
    return folder / "estimate.json"


def describe_opening(
    record: SweepFolder, cells: Sequence[Cell], cell_count: int | None = None
) -> list[str]:
    """Returns the lines that are printed before the first cell starts.

    Args:
        record: the sweep.
        cells: the cells of this batch.
        cell_count: the number of all cells, where the others are not known yet.
    """
    if not record.study:
        return []
    return [
        f"{cell_count or len(cells)} cells: {record.study['question']}",
        describe_time(record, cell_count),
    ]


def describe_time(record: SweepFolder, cell_count: int | None = None) -> str:
    """Returns a line on the time of the remaining cells, one after the other, and on its source.

    An unknown cell is assumed to take the mean of the others. Where cells are done, their times
    correct the times that were expected of the others.
    """
    progress = {cell.name: cell.read_progress() for cell in record.cells}
    times = {name: p.seconds for name, p in progress.items() if p.status == RunStatus.DONE}
    open_cells = [name for name, p in progress.items() if p.status not in FINAL_STATUSES]
    unlisted_cells = max(0, (cell_count or 0) - len(progress))
    estimates = _read_estimates(record.path)
    if not estimates and not times:
        return "Time: not known, since none of these cells can be timed on this machine."
    durations = estimates or times
    mean = sum(durations.values()) / len(durations)
    seconds = sum(estimates.get(name, mean) for name in open_cells) + unlisted_cells * mean
    source = (
        "by a few steps of the smallest and the largest network, timed on this machine just now"
    )
    if times:
        seconds *= sum(times.values()) / sum(estimates.get(name, mean) for name in times)
        source = f"by the {len(times)} that are done"
    return f"Time: about {timedelta(seconds=round(seconds))} one after the other, {source}."


def _read_estimates(sweep: Path) -> dict[str, float]:
    """Returns the seconds in the file of `locate_estimates`; empty where it is damaged."""
    try:
        estimates = read_json(locate_estimates(sweep))
    except DamagedFile:
        return {}
    numbers = {name: value for name, value in estimates.items() if isinstance(value, int | float)}
    return {name: value for name, value in numbers.items() if 0 < value < SECONDS_LIMIT}
