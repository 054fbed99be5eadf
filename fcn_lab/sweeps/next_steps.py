"""The commands that a sweep's runner and ``task=status`` print at their end."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fcn_lab.runs.names import CONFUSIONS
from fcn_lab.runs.statuses import FINAL_STATUSES, RunStatus
from fcn_lab.runs.sweep import Progress, SweepFolder
from fcn_lab.sweeps.recorded_command import is_plain_command
from fcn_lab.text.commands import format_command, format_operand, quote


def list_sweep_steps(
    record: SweepFolder, progress: Mapping[str, Progress], words: Sequence[str] = ()
) -> dict[str, str | Path]:
    """Returns the commands after a sweep: to continue what is left, and to see what is done.

    Args:
        record: the sweep.
        progress: the progress of each cell, by its name.
        words: the words of the command that continues it, where its folder alone does not suffice.
    """
    steps: dict[str, str | Path] = {}
    cells_at_work = [c for c in record.cells if progress[c.name].status == RunStatus.RUNNING]
    if cells_at_work:
        steps["To watch a cell"] = f"tail -f {quote(format_operand(cells_at_work[0].log))}"
    elif any(cell_progress.status not in FINAL_STATUSES for cell_progress in progress.values()):
        steps["To go on"] = format_command("-m", *words) if words else format_go_on(record)
    done_cells = [c for c in record.cells if progress[c.name].status == RunStatus.DONE]
    if done_cells and (record.study or (done_cells[0].folder / CONFUSIONS).is_file()):
        steps["The report"] = format_command(*_read_report(record), f"runs={record.path}")
    return steps


def _read_report(record: SweepFolder) -> list[str]:
    """Returns the words of the study's own report, or of a plain one if the record is not sound."""
    words = str(record.study.get("report", "task=report")).split()
    return words if is_plain_command(words) else ["task=report"]


def format_go_on(record: SweepFolder) -> str:
    """Returns the command that continues a sweep with the engine that it was begun with."""
    engine = [] if record.engine == "basic" else [f"hydra/launcher={record.engine}"]
    return format_command("-m", f"sweep.dir={record.path}", *engine)
