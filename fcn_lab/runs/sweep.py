"""Reads a sweep's folder: its cells, how far each is, and the scores of those that are done.

All of it is read from files, so that the runner, a second runner and ``task=status`` on another
machine see the same.

::

    sweep.json   the command, the version of the sources, the cells in their order
    code/        the sources that the cells run, one folder a version
    results.csv  one row a cell
    CELL/        a run's folder; beside it log.txt and attempts/N.json
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fcn_lab.errors import UserError
from fcn_lab.files import write_json, write_table
from fcn_lab.runs.attempts import find_last_attempt
from fcn_lab.runs.names import LOG, METRICS, MONITOR, NETWORK_WORDS, SWEEP_RECORD, SWEEP_RESULTS
from fcn_lab.runs.outcomes import SCORE_NAMES, read_all_epochs, read_metrics
from fcn_lab.runs.records import DamagedFile, read_json
from fcn_lab.runs.statuses import ENDED_EARLY, RunStatus
from fcn_lab.text.escaping import terminal_text

FIRST_COLUMNS = ("cell", "status", *NETWORK_WORDS, "seed", "params", "macs", "seconds")
LAST_COLUMNS = ("reason", "folder")


@dataclass(frozen=True)
class Progress:
    """How far a cell is.

    Args:
        status: waiting, running, done, failed, stopped or pruned.
        reason: one line on what went wrong, or where it runs.
        seconds: time spent on training, or by its last attempt where that is not known.
        epochs: complete epochs.
        best_score: the best val mean IoU so far, 0…1.
        scores: the content of metrics.json once it is there.
    """

    status: RunStatus
    reason: str = ""
    seconds: float = 0.0
    epochs: int = 0
    best_score: float | None = None
    scores: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scored_split(self) -> str:
        """Returns the split that was scored besides val: test, where none has another name."""
        splits = [name for name, part in self.scores.items() if isinstance(part, Mapping)]
        others = [name for name in splits if name != "val" and "mean_iou" in self.scores[name]]
        return others[-1] if others else "test"

    def score(self, split: str, name: str) -> float | None:
        """Returns a final score, 0…1."""
        value = (self.scores.get(split) or {}).get(name)
        return None if value is None else float(value)


@dataclass(frozen=True)
class Cell:
    """A cell of a sweep, frozen in its folder.

    Args:
        name: the overrides that are its own.
        folder: its run's folder.
        words: its words for model, upsample and encoder, and its seed.
        devices: processes it trains with.
        on_cpu: whether it was told not to use a GPU.
        epochs: epochs it trains for.
    """

    name: str
    folder: Path
    words: Mapping[str, Any]
    devices: int = 1
    on_cpu: bool = False
    epochs: int | None = None

    @property
    def log(self) -> Path:
        """Returns the file of what its worker printed."""
        return self.folder / LOG

    def read_progress(self) -> Progress:
        """Reads its folder; a damaged file is named and counts as missing."""
        try:
            scores = read_metrics(self.folder)
        except DamagedFile as error:
            return self._read_unfinished(str(error) if os.path.lexists(error.path) else "")
        return Progress(
            RunStatus.DONE, "", scores.get("seconds") or 0.0, self.epochs or 0, scores=scores
        )

    def _read_unfinished(self, damage: str) -> Progress:
        try:
            rows = _complete_rows(read_all_epochs(self.folder))
        except DamagedFile as error:
            rows, damage = [], damage or str(error)
        seconds = float(rows[-1]["seconds"]) if rows else 0.0
        best_score = max(_extract_curve(rows).values(), default=None)
        attempt = find_last_attempt(self.folder)
        if attempt is None:
            return Progress(RunStatus.WAITING, damage)
        if attempt.is_alive():
            holder = terminal_text(f"{attempt.host}, process {attempt.pid}")
            return Progress(RunStatus.RUNNING, holder, seconds, len(rows), best_score)
        status, reason = RunStatus(attempt.status or RunStatus.STOPPED), attempt.reason
        if attempt.status is None:
            reason = "interrupted"
        elif status == RunStatus.DONE:
            # its attempt says done, but there are no scores
            status, reason = RunStatus.FAILED, "" if damage else f"it ended without {METRICS}"
        note = terminal_text("; ".join(filter(None, (reason, damage))))
        return Progress(status, note, seconds or attempt.seconds, len(rows), best_score)

    def curve(self) -> dict[int, float]:
        """Returns epochs → val mean IoU after them, for the epochs that were scored."""
        try:
            return _extract_curve(_complete_rows(read_all_epochs(self.folder)))
        except DamagedFile:
            return {}

    def row(self, progress: Progress) -> dict[str, Any]:
        """Returns the cell's line of results.csv."""
        splits = ("val", progress.scored_split)
        scores = {f"{s}_{n}": progress.score(s, n) for s in splits for n in SCORE_NAMES}
        return {
            "cell": self.name,
            "status": progress.status,
            **self.words,
            "params": progress.scores.get("params"),
            "macs": progress.scores.get("macs"),
            "seconds": round(progress.seconds, 1),
            **scores,
            "reason": progress.reason if progress.status in ENDED_EARLY else "",
            "folder": self.folder,
        }


@dataclass
class SweepFolder:
    """The record of a sweep.

    Args:
        path: the folder.
        cells: the cells, in the order in which they were asked for.
        asked: the overrides of the command line.
        engine: the word of hydra/launcher=.
        code: the version of the sources, a folder of code/.
        own_code: a hash of each source file of the user's own modules, which are not copied.
        study: the question and more, where the sweep is an experiment of conf/.
    """

    path: Path
    cells: Sequence[Cell] = ()
    asked: Sequence[str] = ()
    engine: str = "basic"
    code: str = ""
    study: Mapping[str, Any] = field(default_factory=dict)
    own_code: Mapping[str, str] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        """Returns one row a cell."""
        return self.path / SWEEP_RESULTS

    @classmethod
    def read(cls, path: Path) -> "SweepFolder":
        """Reads the sweep that lies in a folder.

        Raises:
            UserError: the folder holds no sweep, or its record is damaged.
        """
        file = path / SWEEP_RECORD
        if not os.path.lexists(file):
            finding = "is no folder" if os.path.lexists(path) else "does not exist"
            if path.is_dir():
                finding = f"holds no sweep: it has no {file.name}"
            raise UserError(f"{path} {finding}; sweep.dir= names the folder of a sweep")
        record = read_json(file)
        try:
            cells = [_create_cell(path, cell) for cell in record.pop("cells")]
            sweep = cls(path, cells, **record)
            # checked, since it is printed in commands
            is_word = isinstance(sweep.engine, str) and re.fullmatch(r"[\w-]+", sweep.engine)
            words = is_word and isinstance(sweep.code, str)
            lists = isinstance(sweep.study, dict) and isinstance(sweep.asked, list | tuple)
            if not words or not lists or not isinstance(sweep.own_code, dict):
                raise TypeError("an entry has the wrong type")
        except (TypeError, KeyError, AttributeError) as error:
            raise DamagedFile(file, f"it describes no sweep ({error})") from error
        return sweep

    def write(self) -> None:
        """Writes sweep.json in one piece."""
        cells = [{**vars(cell), "folder": cell.folder.name} for cell in self.cells]
        record = {**vars(self), "cells": cells}
        del record["path"]
        write_json(self.path / SWEEP_RECORD, record, indent=1)

    def write_results(self, progress: Mapping[str, Progress]) -> None:
        """Writes results.csv in one piece, from the progress of each cell by name."""
        rows = [cell.row(progress[cell.name]) for cell in self.cells]
        splits = ("val", *list_scored_splits(progress.values()))
        names = [f"{split}_{score}" for split in splits for score in SCORE_NAMES]
        columns = [*FIRST_COLUMNS, *names, *LAST_COLUMNS]
        write_table(self.results, [columns, *([row.get(key) for key in columns] for row in rows)])


def list_scored_splits(progress: Iterable[Progress]) -> tuple[str, ...]:
    """Returns the splits that cells were scored on besides val; test where none is done."""
    splits = dict.fromkeys(state.scored_split for state in progress if state.scores)
    return tuple(splits) or ("test",)


def _create_cell(sweep: Path, record: Mapping[str, Any]) -> Cell:
    """Returns a cell that sweep.json names, whose folder is looked for inside the sweep's alone."""
    name = Path(record["folder"]).name
    if name in ("", ".."):
        raise TypeError("a cell that has no folder of its own")
    cell = Cell(**{**record, "folder": sweep / name})
    counts = isinstance(cell.devices, int) and isinstance(cell.epochs, int | None)
    if not isinstance(cell.name, str) or not isinstance(cell.words, dict) or not counts:
        raise TypeError("a cell")
    return cell


def _complete_rows(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    return [row for row in rows if row.get("seconds")]


def _extract_curve(rows: Sequence[Mapping[str, str]]) -> dict[int, float]:
    scores = ((epochs, row.get(MONITOR)) for epochs, row in enumerate(rows, 1))
    return {epochs: float(score) for epochs, score in scores if score}
