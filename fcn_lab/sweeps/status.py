"""How a sweep looks while it runs: a live table in a terminal, lines elsewhere, ``task=status``."""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from fcn_lab.errors import WriteFailure
from fcn_lab.escaping import terminal_text
from fcn_lab.rendering.tables import Name
from fcn_lab.runs.statuses import ENDED_EARLY, FINAL_STATUSES, RunStatus
from fcn_lab.runs.sweep import Cell, Progress, SweepFolder
from fcn_lab.sweeps.next_steps import list_sweep_steps
from fcn_lab.terminal import format_percent, print_next

# the most rows of a live table; the rest are counted
LIVE_ROWS = 20
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


class SweepWatch:
    """A context around a sweep's loop that shows it and keeps results.csv.

    Args:
        record: the sweep.
        conclude: print the table of all cells at the end.
    """

    def __init__(self, record: SweepFolder, conclude: bool = True) -> None:
        self.record, self.conclude = record, conclude
        self.progress: dict[str, Progress] = {}
        self._console = Console()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._next = 0.0
        self._unwritten: WriteFailure | None = None

    def __enter__(self) -> "SweepWatch":
        if self._console.is_terminal:
            self._live.start()
        self.update()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._next = 0.0
        self.update()
        self._live.stop()
        if error is None and self.conclude:
            self._console.print(build_table(self.record, self.progress))
            for line in list_failures(self.record, self.progress):
                self._console.print(line)
        if error is None and self._unwritten is not None:
            raise self._unwritten

    def update(self) -> None:
        """Reads where the cells are, tells what changed, writes results.csv where that matters.

        Of thousands of cells not at every call: it takes at most a tenth of the time.
        """
        began = time.monotonic()
        if began < self._next:
            return
        self._show()
        self._next = began + 10 * (time.monotonic() - began)

    def _show(self) -> None:
        before, self.progress = self.progress, read_progress(self.record, self.progress)
        changed = [
            cell
            for cell in self.record.cells
            if cell.name in before and before[cell.name].status != self.progress[cell.name].status
        ]
        if changed or not before or self._unwritten:
            self._write()
        if self._console.is_terminal:
            summary = summarize(self.record, self.progress)
            shown = build_table(self.record, self.progress, LIVE_ROWS)
            self._live.update(Group(shown, summary), refresh=True)
        else:
            for cell in changed:
                self._print_change(cell, self.progress[cell.name])

    def _write(self) -> None:
        """Writes results.csv; where that fails the cells go on, and each change tries again."""
        try:
            self.record.write_results(self.progress)
            self._unwritten = None
        except WriteFailure as error:
            if self._unwritten is None:
                print(f"{error}\nThe cells go on.", file=sys.stderr, flush=True)
            self._unwritten = error

    def _print_change(self, cell: Cell, now: Progress) -> None:
        ended = sum(progress.status in FINAL_STATUSES for progress in self.progress.values())
        scores = f", {scored}" if (scored := _format_scores(now)) else ""
        after = f" after {now.seconds:.0f} s" if now.status in FINAL_STATUSES else ""
        reason = f": {now.reason}" if now.status in ENDED_EARLY and now.reason else ""
        name = terminal_text(cell.name)
        line = f"[{ended}/{len(self.progress)}] {name}: {now.status}{after}{scores}{reason}"
        print(line, flush=True)


@dataclass(frozen=True)
class Status:
    """task=status: where a sweep is, seen from another terminal or machine.

    Args:
        folder: the sweep's.
    """

    folder: str

    def run(self) -> None:
        """Prints the table of all cells.

        Raises:
            UserError: the folder holds no sweep.
        """
        record = SweepFolder.read(Path(self.folder))
        progress = read_progress(record, {})
        console = Console()
        console.print(build_table(record, progress), summarize(record, progress))
        for line in list_failures(record, progress):
            console.print(line)
        print_next(list_sweep_steps(record, progress))


def read_progress(record: SweepFolder, before: Mapping[str, Progress]) -> dict[str, Progress]:
    """Returns every cell's progress now; a cell that is done stays so and is not read again."""
    known = {name: p for name, p in before.items() if p.status in FINAL_STATUSES}
    return {cell.name: known.get(cell.name) or cell.read_progress() for cell in record.cells}


def build_table(
    record: SweepFolder, progress: Mapping[str, Progress], rows: int | None = None
) -> Table:
    """Returns the cells with their scores; at most `rows` of them, those at work first.

    The val score of a cell that is not done is its best so far.
    """
    cells = list(record.cells)
    if rows is not None and len(cells) > rows:
        order = (
            RunStatus.RUNNING,
            RunStatus.FAILED,
            RunStatus.STOPPED,
            RunStatus.DONE,
            RunStatus.PRUNED,
            RunStatus.WAITING,
        )
        cells = sorted(cells, key=lambda cell: order.index(progress[cell.name].status))[:rows]
        cells.sort(key=record.cells.index)
    numbers = ("epoch", "s", "val", "test", "test G")
    shown = Table(
        Column("cell", min_width=24),
        "status",
        *(Column(name, justify="right") for name in numbers),
        title=Text(f"{record.path}: mean IoU and G in %", "table.title"),
    )
    for cell in cells:
        now = progress[cell.name]
        val = now.score("val", "mean_iou")
        shown.add_row(
            Name(cell.name),
            Text(now.status, COLOURS.get(now.status, "")),
            f"{now.epochs}/{cell.epochs}" if cell.epochs else "",
            f"{now.seconds:.0f}" if now.seconds else "",
            format_percent(now.best_score if val is None else val, 2),
            *(
                format_percent(now.score("test", name), 2)
                for name in ("mean_iou", "pixel_accuracy")
            ),
        )
    return shown


def summarize(record: SweepFolder, progress: Mapping[str, Progress]) -> RenderableType:
    """Returns how many cells are where, the best so far, and the time the rest will take."""
    counts = Counter(now.status for now in progress.values())
    parts = [f"{counts[status]} {status}" for status in STATUSES if counts[status]]
    done = {name: now.score("val", "mean_iou") for name, now in progress.items()}
    best = max(((value, name) for name, value in done.items() if value is not None), default=None)
    if best is not None:
        parts.append(f"best val mean IoU {format_percent(best[0], 2)} ({terminal_text(best[1])})")
    if (left := estimate_remaining(record, progress)) is not None:
        parts.append(f"about {timedelta(seconds=round(left))} to go")
    return Text(" · ".join(parts))


def estimate_remaining(record: SweepFolder, progress: Mapping[str, Progress]) -> float | None:
    """Returns the seconds until the last cell ends, by what others took; None before any.

    Every cell not done is taken to need the mean of those that are, a running one its part of it,
    and as many are taken to run at once as do now.
    """
    took = [
        now.seconds for now in progress.values() if now.status == RunStatus.DONE and now.seconds
    ]
    running = [cell for cell in record.cells if progress[cell.name].status == "running"]
    if not took or not running:
        return None
    waiting = sum(now.status in (RunStatus.WAITING, RunStatus.STOPPED) for now in progress.values())
    part = sum(1 - progress[c.name].epochs / c.epochs if c.epochs else 0.5 for c in running)
    return sum(took) / len(took) * (waiting + part) / len(running)


def list_failures(record: SweepFolder, progress: Mapping[str, Progress]) -> Iterator[Text]:
    """Yields the cells that did not get done and why, one line each."""
    for cell in record.cells:
        now = progress[cell.name]
        if now.status in ENDED_EARLY or (now.status == RunStatus.WAITING and now.reason):
            why = f": {now.reason}" if now.reason else ""
            yield Text(terminal_text(f"{cell.name} {now.status}{why}  ({cell.log})"))


def _format_scores(now: Progress) -> str:
    named = {split: now.score(split, "mean_iou") for split in ("val", "test")}
    return ", ".join(
        f"{split} mean IoU {format_percent(value, 2)}"
        for split, value in named.items()
        if value is not None
    )
