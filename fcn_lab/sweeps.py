"""A sweep: cells that were all frozen before the first starts, each a worker process of its own."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from fcn_lab.signals import SIGNALS, Stopped

SCORES = ("pixel_accuracy", "mean_accuracy", "mean_iou", "fw_iou")
COLUMNS = (
    *("cell", "status", "model", "upsample", "encoder", "seed", "params", "macs", "seconds"),
    *(f"{split}_{score}" for split in ("val", "test") for score in SCORES),
    "folder",
)


# glibc hands every large tensor back to the system at once and faults its pages in again at the
# next step: measured, 15 % of a training step on a CPU. Other C libraries ignore these words.
KEEP_PAGES = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}


class SweepFailed(Exception):
    """At least one cell failed; the table has said which."""


def worker_command(config: Path) -> list[str]:
    """What starts the worker on one frozen config."""
    return [sys.executable, "-m", "fcn_lab.worker", str(config)]


def worker_environment() -> dict[str, str]:
    """This environment, with the package that is running now first on the path of the worker."""
    environment = {key: value for key, value in os.environ.items() if key != "HYDRA_FULL_ERROR"}
    package = str(Path(__file__).resolve().parent.parent)
    paths = [package, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    return {**KEEP_PAGES, **environment, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


@dataclass
class Cell:
    """One cell, frozen in `folder`."""

    name: str
    folder: Path
    words: Mapping[str, Any]
    status: str = "waiting"
    seconds: float = 0.0

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    def row(self) -> dict[str, Any]:
        """The cell's line of results.csv."""
        known = {
            "cell": self.name,
            "status": self.status,
            "seconds": round(self.seconds, 1),
            "folder": self.folder,
        }
        path = self.folder / "metrics.json"
        metrics = json.loads(path.read_text()) if path.is_file() else {}
        splits = {split: metrics.get(split) or {} for split in ("val", "test")}
        scores = {
            f"{split}_{score}": values.get(score)
            for split, values in splits.items()
            for score in SCORES
        }
        kept = {key: metrics[key] for key in ("params", "macs") if key in metrics}
        return {**known, **self.words, **kept, **scores}

    def last_line(self) -> str:
        """What the cell's log ends with: where it failed, its reason."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip() if lines else "(its log is empty)"


@dataclass
class Sweep:
    """Runs cells one after the other in fresh processes and keeps results.csv as they end."""

    folder: Path
    cells: Sequence[Cell]
    stopped_by: int | None = None
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    _forwarded: bool = field(default=False, init=False)

    def run(self) -> None:
        """Goes on past cells that fail.

        Raises:
            Stopped: by Ctrl-C or SIGTERM, after the running worker has ended.
        """
        with self._signals_go_to_the_worker():
            for number, cell in enumerate(self.cells, 1):
                if self.stopped_by is not None:
                    break
                title = f"[{number}/{len(self.cells)}] {cell.name}"
                print(f"{title}: starts, see {cell.log}", flush=True)
                self._run_cell(cell)
                self.write()
                print(f"{title}: {cell.status} after {cell.seconds:.0f} s", flush=True)
        self.write()
        self.print_table()
        if self.stopped_by is not None:
            raise Stopped(self.stopped_by)

    def _run_cell(self, cell: Cell) -> None:
        began = time.monotonic()
        with cell.log.open("wb") as log:
            # a process group of its own: Ctrl-C in the terminal reaches the worker once, through us
            self._process = subprocess.Popen(
                worker_command(cell.folder / "config.yaml"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=worker_environment(),
                process_group=0,
            )
            if self.stopped_by is not None and not self._forwarded:  # it came while we started it
                self._process.send_signal(self.stopped_by)
            code = self._process.wait()
        cell.seconds = time.monotonic() - began
        cell.status = (
            "done"
            if code == 0
            else "stopped"
            if self.stopped_by is not None
            else f"failed ({code})"
        )

    @contextmanager
    def _signals_go_to_the_worker(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._forward) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _forward(self, signum: int, frame: FrameType | None) -> None:
        self.stopped_by = signum
        if self._process is not None and self._process.poll() is None:
            self._forwarded = True
            self._process.send_signal(signum)

    def failed(self) -> list[Cell]:
        """The cells that ran and did not get done."""
        return [cell for cell in self.cells if cell.status.startswith("failed")]

    def write(self) -> None:
        """results.csv: one row a cell, whole or not at all."""
        path = self.folder / "results.csv"
        half = path.with_suffix(".half")
        with half.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(cell.row() for cell in self.cells)
        half.replace(path)

    def print_table(self) -> None:
        """The cells with their scores, then why the failed ones failed."""
        from rich.console import Console
        from rich.table import Column, Table

        name = Column("cell", overflow="fold")
        table = Table(
            name,
            "status",
            "seconds",
            "val mIoU",
            "test mIoU",
            "test accuracy",
            title=str(self.folder),
        )
        for cell in self.cells:
            row = cell.row()
            scores = (row[key] for key in ("val_mean_iou", "test_mean_iou", "test_pixel_accuracy"))
            shown = ("" if score is None else f"{100 * score:.2f}" for score in scores)
            table.add_row(cell.name, cell.status, f"{cell.seconds:.0f}", *shown)
        console = Console()
        console.print(table)
        for cell in self.failed():
            console.print(
                f"{cell.name}: {cell.last_line()}  ({cell.log})", markup=False, highlight=False
            )
