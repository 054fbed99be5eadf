"""Shows a sweep: by a live table in a terminal, by lines elsewhere, and by ``task=status``."""

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from fcn_lab.errors import WriteFailure
from fcn_lab.runs.statuses import ENDED_EARLY, FINAL_STATUSES, RunStatus
from fcn_lab.runs.sweep import Cell, Progress, SweepFolder
from fcn_lab.sweeps.next_steps import list_sweep_steps
from fcn_lab.sweeps.overview import build_table, fit_overview, summarize
from fcn_lab.text.escaping import terminal_text
from fcn_lab.text.terminal import format_percent, print_next


class SweepWatch:
    """A context around a sweep's loop that shows it and keeps results.csv.

    Args:
        record: the sweep.
        conclude: whether to print the table of all cells at the end.
    """

    def __init__(self, record: SweepFolder, conclude: bool = True) -> None:
        self.record, self.conclude = record, conclude
        self.progress: dict[str, Progress] = {}
        self._console = Console()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._next_time = 0.0
        self._write_failure: WriteFailure | None = None

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
        self._next_time = 0.0
        self.update()
        self._live.stop()
        if error is None and self.conclude:
            self._console.print(build_table(self.record, self.progress))
            for line in list_failures(self.record, self.progress):
                self._console.print(line)
        if error is None and self._write_failure is not None:
            raise self._write_failure

    def update(self) -> None:
        """Reads the cells' progress, prints changes, and writes results.csv where it changes.

        With thousands of cells it skips calls, so as to take at most a tenth of the time.
        """
        start = time.monotonic()
        if start < self._next_time:
            return
        self._show()
        self._next_time = start + 10 * (time.monotonic() - start)

    def _show(self) -> None:
        last, self.progress = self.progress, read_progress(self.record, self.progress)
        cells = [
            cell
            for cell in self.record.cells
            if cell.name in last and last[cell.name].status != self.progress[cell.name].status
        ]
        if cells or not last or self._write_failure:
            self._write()
        if self._console.is_terminal:
            overview = fit_overview(self.record, self.progress, self._console)
            self._live.update(overview, refresh=True)
        else:
            for cell in cells:
                self._print_change(cell, self.progress[cell.name])

    def _write(self) -> None:
        """Writes results.csv; where that fails the cells go on, and each change tries again."""
        try:
            self.record.write_results(self.progress)
            self._write_failure = None
        except WriteFailure as error:
            if self._write_failure is None:
                print(f"{error}\nThe cells go on.", file=sys.stderr, flush=True)
            self._write_failure = error

    def _print_change(self, cell: Cell, state: Progress) -> None:
        end_count = sum(progress.status in FINAL_STATUSES for progress in self.progress.values())
        scores = f", {text}" if (text := _format_scores(state)) else ""
        duration = f" after {state.seconds:.0f} s" if state.status in FINAL_STATUSES else ""
        reason = f": {state.reason}" if state.status in ENDED_EARLY and state.reason else ""
        name = terminal_text(cell.name)
        line = (
            f"[{end_count}/{len(self.progress)}] {name}: {state.status}{duration}{scores}{reason}"
        )
        print(line, flush=True)


@dataclass(frozen=True)
class Status:
    """task=status: shows how far a sweep is, from another terminal or machine.

    Args:
        folder: the sweep's folder.
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


def read_progress(record: SweepFolder, last: Mapping[str, Progress]) -> dict[str, Progress]:
    """Returns every cell's progress now; a cell that is done stays so and is not read again."""
    final_progress = {name: p for name, p in last.items() if p.status in FINAL_STATUSES}
    return {
        cell.name: final_progress.get(cell.name) or cell.read_progress() for cell in record.cells
    }


def list_failures(record: SweepFolder, progress: Mapping[str, Progress]) -> Iterator[Text]:
    """Yields a line for each cell that failed or was stopped, with the reason."""
    for cell in record.cells:
        state = progress[cell.name]
        if state.status in ENDED_EARLY or (state.status == RunStatus.WAITING and state.reason):
            reason = f": {state.reason}" if state.reason else ""
            yield Text(terminal_text(f"{cell.name} {state.status}{reason}  ({cell.log})"))


def _format_scores(progress: Progress) -> str:
    splits = ("val", progress.scored_split)
    scores = {split: progress.score(split, "mean_iou") for split in splits}
    return ", ".join(
        f"{split} mean IoU {format_percent(value, 2)}"
        for split, value in scores.items()
        if value is not None
    )
