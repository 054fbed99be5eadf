"""Reads run folders for the report, without the data or a network.

Legend: N frames of the scored split, K classes.
"""

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcn_lab.config.moved import rename_targets
from fcn_lab.errors import UserError
from fcn_lab.files import find_files, follow_links
from fcn_lab.report.protocols import refuse_mixed
from fcn_lab.report.recount import correct_scores, require_matrices
from fcn_lab.runs import names
from fcn_lab.runs.folders import require_folders
from fcn_lab.runs.outcomes import read_all_epochs, read_metrics
from fcn_lab.runs.records import DamagedFile, load_yaml, read_arrays, read_json, read_yaml
from fcn_lab.runs.statuses import RunStatus
from fcn_lab.runs.sweep import SweepFolder
from fcn_lab.text.terminal import report_progress

# folders inside a sweep or a staged run that hold its sources or earlier stages, and no runs
INNER_PARTS = {names.SWEEP_CODE, names.STAGES}
# keys that no arm is named by
_UNNAMED_KEYS = ("seed", "data.root")


@dataclass(frozen=True)
class Run:
    """A finished run as a report reads it.

    Args:
        folder: where it lies.
        metrics: the content of metrics.json.
        config: the content of config.yaml.
        told_by: settings that tell it from others, besides the words and a sweep's keys.
        alterations: a sentence for each split whose scores in metrics.json differ from its
            matrices.
    """

    folder: Path
    metrics: Mapping[str, Any]
    config: Mapping[str, Any] = field(repr=False)
    told_by: Mapping[str, str] = field(default_factory=dict, repr=False)
    alterations: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> "Run":
        """Reads the run that lies in a folder.

        Raises:
            DamagedFile: a file of the run that the report needs is not as a run writes it.
        """
        metrics, config = read_metrics(folder), folder / names.CONFIG
        words = [metrics.get(word) for word in names.NETWORK_WORDS]
        if not isinstance(metrics.get("seed"), int) or not all(isinstance(w, str) for w in words):
            reason = "it names no model, upsample, encoder and seed"
            raise DamagedFile(folder / names.METRICS, reason)
        content = read_yaml(config, load_yaml) if os.path.lexists(config) else {}
        run = cls(folder, metrics, rename_targets(content))
        require_matrices(run._confusions, folder / names.CONFUSIONS)
        run.history  # noqa: B018  (read now, while a damaged run can still be left out)
        files = {names.CONFUSIONS: run._confusions}
        with suppress(DamagedFile):
            files[names.VAL_CONFUSIONS] = read_arrays(folder / names.VAL_CONFUSIONS)
        metrics, alterations = correct_scores(folder, metrics, files)
        return replace(run, metrics=metrics, alterations=alterations) if alterations else run

    @property
    def protocol(self) -> str:
        """Returns the protocol of its numbers."""
        return str(self.metrics["protocol"])

    @property
    def seed(self) -> int:
        """Returns the seed of the training."""
        return int(self.metrics["seed"])

    def number(self, *keys: str | int) -> float | None:
        """Returns the number under these keys of metrics.json, None where there is none."""
        node: Any = self.metrics
        for key in keys:
            node = node.get(str(key)) if isinstance(node, Mapping) else None
        return float(node) if isinstance(node, int | float) else None

    @property
    def split(self) -> str:
        """Returns the split that it was scored on."""
        return str(self._confusions["split"])

    @property
    def names(self) -> tuple[str, ...]:
        """Returns the names of the N frames."""
        return tuple(map(str, self._confusions["names"]))

    @property
    def classes(self) -> tuple[str, ...]:
        """Returns the names of the K classes."""
        return tuple(map(str, self._confusions["classes"]))

    @property
    def matrices(self) -> NDArray[np.int64]:
        """Returns a confusion matrix a frame, (N,K,K), rows truth."""
        matrices: NDArray[np.int64] = self._confusions["matrices"]
        return matrices

    @property
    def drives(self) -> tuple[str, ...]:
        """Returns the N frames' drives: as recorded, else a name's part before its number."""
        if self.has_recorded_drives:
            return tuple(map(str, self._confusions["drives"]))
        return tuple(find_drive(name) for name in self.names)

    @property
    def has_recorded_drives(self) -> bool:
        """Returns whether the data said which drive each frame is from."""
        return "drives" in self._confusions and all(self._confusions["drives"])

    @cached_property
    def factors(self) -> dict[str, str]:
        """Returns the chosen values: words, plain keys in a cell's name, and those of `told_by`."""
        words = {k: str(self.metrics[k]) for k in names.NETWORK_WORDS}
        arm = str(self.config.get("arm") or "")
        pairs = (part.partition("=") for part in re.split(r",(?=[\w./@]+=)", arm) if "=" in part)
        values_in_name = {k: v for k, _, v in pairs if k not in _UNNAMED_KEYS}
        return {**words, **self.told_by, **values_in_name}

    @cached_property
    def history(self) -> list[dict[str, str]]:
        """Returns one row an epoch, earlier stages included; none where the run only scored."""
        return read_all_epochs(self.folder)

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Returns the content of env.json on code and machine; empty where it cannot be read."""
        try:
            return read_json(self.folder / names.ENVIRONMENT)
        except DamagedFile:
            return {}

    @cached_property
    def _confusions(self) -> dict[str, Any]:
        return read_arrays(self.folder / names.CONFUSIONS)


@dataclass(frozen=True)
class MissingRun:
    """A run or a cell of a sweep without scores: its name, status, reason and place."""

    name: str
    status: str
    reason: str
    folder: Path | None = None

    def __str__(self) -> str:
        return f"left out: {self.name}: {self.reason}"


def find_drive(name: str) -> str:
    """Returns the drive in a frame's name: ``0001TP_008550``, ``Seq05VD_f00000``."""
    match = re.match(r"(.+?)[_-]?f?\d+$", Path(name).stem)
    return match[1] if match else name


def find_runs(folders: Iterable[Path]) -> tuple[list[Run], list[MissingRun]]:
    """Reads as `read_runs` does, and refuses runs that cannot stand in one table."""
    runs, damages = read_runs(folders)
    refuse_mixed(runs)
    return runs, damages


def read_runs(folders: Iterable[Path]) -> tuple[list[Run], list[MissingRun]]:
    """Reads every finished run in these folders: a run's own, or one that holds runs anywhere.

    Returns:
        The runs that can be read, and a message about each of the others.

    Raises:
        UserError: a folder does not exist or holds no run, or no run can be read.
    """
    runs: list[Run] = []
    damages: list[MissingRun] = []
    run_folders = find_run_folders(folders)
    for folder in report_progress(run_folders, len(run_folders), "reading runs"):
        try:
            runs.append(Run.read(folder))
        except DamagedFile as error:
            reason = f"{error.path.name}: {error.reason}"
            damages.append(MissingRun(str(folder), "damaged", reason, folder.resolve()))
    if not runs:
        raise UserError(f"{damages[0].name}: {damages[0].reason}\nNo run there can be read")
    return runs, damages


def find_run_folders(folders: Iterable[Path]) -> list[Path]:
    """Returns the folders of the finished runs in these, each once.

    Raises:
        UserError: a folder does not exist or holds no run.
    """
    paths: dict[Path, Path] = {}
    for folder in folders:
        require_folders(str(folder))
        files = find_files(names.METRICS, folder)
        runs = sorted(p.parent for p in files if not INNER_PARTS & {*p.relative_to(folder).parts})
        if not runs:
            raise UserError(f"runs={folder}: it holds no finished run, no metrics.json anywhere")
        paths |= {path.resolve(): path for path in runs}
    return list(paths.values())


def find_missing_cells(folders: Iterable[Path]) -> list[MissingRun]:
    """Returns the cells of sweeps in these folders that have no scores."""
    missing_cells: list[MissingRun] = []
    for record in find_files(names.SWEEP_RECORD, *folders):
        try:
            cells = SweepFolder.read(record.parent).cells
        except DamagedFile as error:
            reason = f"{record.name}: {error.reason}"
            missing_cells.append(MissingRun(str(record.parent), "damaged", reason))
            continue
        for cell in cells:
            progress, path = cell.read_progress(), follow_links(cell.folder)
            if progress.status != RunStatus.DONE:
                missing_cells.append(MissingRun(cell.name, progress.status, progress.reason, path))
    return missing_cells
