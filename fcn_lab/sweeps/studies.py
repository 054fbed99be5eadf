"""A study is an experiment that is a sweep: what it asks, and what it will take."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from fcn_lab.runs.outcomes import SECONDS_LIMIT
from fcn_lab.runs.records import DamagedFile, read_json
from fcn_lab.runs.statuses import FINAL_STATUSES, RunStatus
from fcn_lab.runs.sweep import Cell, SweepFolder


def locate_estimates(folder: Path) -> Path:
    """Returns the seconds expected of cells, by name; written by the check of the cells."""
    return folder / "estimate.json"


def describe_opening(
    record: SweepFolder, cells: Sequence[Cell], planned: int | None = None
) -> list[str]:
    """Returns what is told before the first cell starts.

    Args:
        record: the sweep.
        cells: those asked for now.
        planned: how many there will be in all, where the others are not known yet.
    """
    if not record.study:
        return []
    return [
        f"{planned or len(cells)} cells: {record.study['question']}",
        describe_time(record, planned),
    ]


def describe_time(record: SweepFolder, planned: int | None = None) -> str:
    """Returns what the cells that are left will take one after the other, and how that is known.

    Cells of which nothing is known are taken for the mean of the others. Where cells are done, what
    they took corrects what was expected of the others.
    """
    progress = {cell.name: cell.read_progress() for cell in record.cells}
    done = {name: now.seconds for name, now in progress.items() if now.status == RunStatus.DONE}
    left = [name for name, now in progress.items() if now.status not in FINAL_STATUSES]
    unknown = max(0, (planned or 0) - len(progress))
    expected = _read_estimates(record.path)
    if not expected and not done:
        return "Time: not known, since none of these cells can be timed on this machine."
    known = expected or done
    mean = sum(known.values()) / len(known)
    seconds = sum(expected.get(name, mean) for name in left) + unknown * mean
    how = "by a few steps of the smallest and the largest network, timed on this machine just now"
    if done:
        seconds *= sum(done.values()) / sum(expected.get(name, mean) for name in done)
        how = f"by the {len(done)} that are done"
    return f"Time: about {timedelta(seconds=round(seconds))} one after the other, {how}."


def _read_estimates(sweep: Path) -> dict[str, float]:
    """Returns what `locate_estimates` holds; a damaged file counts as none: it is only told."""
    try:
        known = read_json(locate_estimates(sweep))
    except DamagedFile:
        return {}
    numbers = {name: value for name, value in known.items() if isinstance(value, int | float)}
    return {name: value for name, value in numbers.items() if 0 < value < SECONDS_LIMIT}
