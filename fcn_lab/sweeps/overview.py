"""Draws a sweep: a table of its cells, and a line that sums them up."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

from rich.console import Console, Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from fcn_lab.rendering.tables import Name
from fcn_lab.runs.statuses import RunStatus
from fcn_lab.runs.sweep import Cell, Progress, SweepFolder, list_scored_splits
from fcn_lab.text.escaping import terminal_text
from fcn_lab.text.terminal import format_count, format_percent

# the cells of a table that is cut short, those of the first status first
_PRECEDENCE = (
    RunStatus.RUNNING,
    RunStatus.FAILED,
    RunStatus.STOPPED,
    RunStatus.DONE,
    RunStatus.PRUNED,
    RunStatus.WAITING,
)
STATUSES = (
    RunStatus.DONE,
    RunStatus.RUNNING,
    RunStatus.WAITING,
    RunStatus.STOPPED,
    RunStatus.FAILED,
    RunStatus.PRUNED,
)
COLOURS: dict[str, str] = {
    RunStatus.DONE: "green",
    RunStatus.RUNNING: "cyan",
    RunStatus.FAILED: "red",
    RunStatus.STOPPED: "yellow",
}


def fit_overview(
    record: SweepFolder, progress: Mapping[str, Progress], console: Console
) -> RenderableType:
    """Returns the summary, and above it as many cells as the terminal has lines for.

    A live view that is higher is cut at the bottom, where the summary stands.
    """

    def draw(rows: int) -> Group:
        parts: list[RenderableType] = [build_table(record, progress, rows)] if rows else []
        if (rest := len(record.cells) - rows) > 0:
            parts.append(Text(f"not shown: {format_count(rest, 'more cell' if rows else 'cell')}"))
        return Group(*parts, summarize(record, progress))

    def count_lines(rows: int) -> int:
        return len(console.render_lines(draw(rows), pad=False))

    # the cursor takes the last line
    counts = range(min(len(record.cells), console.height) + 1)
    return draw(max(0, bisect_right(counts, console.height - 1, key=count_lines) - 1))


def build_table(
    record: SweepFolder, progress: Mapping[str, Progress], rows: int | None = None
) -> Table:
    """Returns the cells with their scores; at most `rows` of them, those at work first.

    Of those that have ended it takes the last.
    The val score of a cell that is not done is its best so far.
    """
    cells: Sequence[Cell] = record.cells
    if rows is not None and len(cells) > rows:
        cells = _choose_cells(cells, progress, rows)
    splits = list_scored_splits(progress.values())
    # one name for all where there are several
    split = splits[0] if len(splits) == 1 else "scored"
    numbers = ("epoch", "s", "val", split, f"{split} G")
    table = Table(
        Column("cell", min_width=24),
        "status",
        *(Column(name, justify="right") for name in numbers),
        title=Text(f"{record.path}: mean IoU and G in %", "table.title"),
    )
    for cell in cells:
        p = progress[cell.name]
        val = p.score("val", "mean_iou")
        table.add_row(
            Name(cell.name),
            Text(p.status, COLOURS.get(p.status, "")),
            f"{p.epochs}/{cell.epochs}" if cell.epochs else "",
            f"{p.seconds:.0f}" if p.seconds else "",
            format_percent(p.best_score if val is None else val, 2),
            *(
                format_percent(p.score(p.scored_split, name), 2)
                for name in ("mean_iou", "pixel_accuracy")
            ),
        )
    return table


def summarize(record: SweepFolder, progress: Mapping[str, Progress]) -> RenderableType:
    """Returns a line with the cells by status, the best one so far, and the time still needed."""
    counts = Counter(p.status for p in progress.values())
    parts = [f"{counts[status]} {status}" for status in STATUSES if counts[status]]
    values = {name: p.score("val", "mean_iou") for name, p in progress.items()}
    scores = [(value, name) for name, value in values.items() if value is not None]
    if scores:
        value, name = max(scores)
        parts.append(f"best val mean IoU {format_percent(value, 2)} ({terminal_text(name)})")
    if (seconds := estimate_remaining(record, progress)) is not None:
        parts.append(f"about {timedelta(seconds=round(seconds))} to go")
    return Text(" · ".join(parts))


def estimate_remaining(record: SweepFolder, progress: Mapping[str, Progress]) -> float | None:
    """Returns the seconds until the last cell ends, estimated from cells that are done, else None.

    Each waiting cell is assumed to need the mean of those that are done, a running one the rest of
    that, and as many cells to run at once as do now.
    """
    durations = [p.seconds for p in progress.values() if p.status == RunStatus.DONE and p.seconds]
    cells_at_work = [c for c in record.cells if progress[c.name].status == RunStatus.RUNNING]
    if not durations or not cells_at_work:
        return None
    waits = sum(p.status in (RunStatus.WAITING, RunStatus.STOPPED) for p in progress.values())
    part = sum(1 - progress[c.name].epochs / c.epochs if c.epochs else 0.5 for c in cells_at_work)
    return sum(durations) / len(durations) * (waits + part) / len(cells_at_work)


def _choose_cells(
    cells: Sequence[Cell], progress: Mapping[str, Progress], count: int
) -> Sequence[Cell]:
    """Returns so many cells in their order: of those that have ended the last."""

    def rank(index: int) -> tuple[int, int]:
        status = progress[cells[index].name].status
        has_ended = status not in (RunStatus.RUNNING, RunStatus.WAITING)
        return _PRECEDENCE.index(status), -index if has_ended else index

    return [cells[index] for index in sorted(sorted(range(len(cells)), key=rank)[:count])]
