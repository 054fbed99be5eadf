"""Run folders as the report reads them; nothing here needs the data or a network.

Legend: N frames of the scored split, K classes.
"""

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from fcn_lab.errors import UserError
from fcn_lab.sweepfolder import SweepFolder

FIELDS = ("classes", "size", "void rule", "split")  # of a protocol id, joined by dashes
INSIDE = {"code", "stages"}  # of a sweep its sources, of a staged run the stages before the last
_IGNORED = ("seed", "data.root")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        folder: where it lies.
        metrics: the content of metrics.json.
        config: of config.yaml.
    """

    folder: Path
    metrics: Mapping[str, Any]
    config: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, folder: Path) -> "Run":
        """What lies there.

        Raises:
            UserError: the folder holds no confusion matrices.
        """
        if not (folder / "confusions.npz").is_file():
            raise UserError(f"{folder}: metrics.json without confusions.npz; score the run again")
        metrics = json.loads((folder / "metrics.json").read_text())
        config = folder / "config.yaml"
        loaded = yaml.load(config.read_text(), _Loader) if config.is_file() else {}
        return cls(folder, metrics, loaded)

    @property
    def protocol(self) -> str:
        """What its numbers were measured by."""
        return str(self.metrics["protocol"])

    @property
    def seed(self) -> int:
        """Of the training."""
        return int(self.metrics["seed"])

    def number(self, *keys: str | int) -> float | None:
        """What metrics.json says under these keys, None where it says nothing."""
        found: Any = self.metrics
        for key in keys:
            found = (found or {}).get(str(key))
        return None if found is None else float(found)

    @property
    def split(self) -> str:
        """The scored one."""
        return str(self._confusions["split"])

    @property
    def names(self) -> tuple[str, ...]:
        """Of the N frames."""
        return tuple(map(str, self._confusions["names"]))

    @property
    def classes(self) -> tuple[str, ...]:
        """K names."""
        return tuple(map(str, self._confusions["classes"]))

    @property
    def matrices(self) -> NDArray[np.int64]:
        """(N,K,K), rows truth."""
        found: NDArray[np.int64] = self._confusions["matrices"]
        return found

    @property
    def drives(self) -> tuple[str, ...]:
        """Of the N frames: as recorded, else what stands before the number in a frame's name."""
        recorded = self._confusions.get("drives")
        if recorded is not None and all(recorded):
            return tuple(map(str, recorded))
        return tuple(drive_of(name) for name in self.names)

    @cached_property
    def factors(self) -> dict[str, str]:
        """What was chosen: the words, and the plain keys in the name of a sweep's cell."""
        words = {k: str(self.metrics[k]) for k in ("model", "upsample", "encoder")}
        arm = str(self.config.get("arm") or "")
        pairs = (part.partition("=") for part in re.split(r",(?=[\w./@]+=)", arm) if "=" in part)
        return {**words, **{k: v for k, _, v in pairs if k not in _IGNORED}}

    @cached_property
    def history(self) -> list[dict[str, str]]:
        """One row an epoch; none where the run was only scored."""
        path = self.folder / "history.csv"
        if not path.is_file():
            return []
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    @cached_property
    def _confusions(self) -> dict[str, Any]:
        with np.load(self.folder / "confusions.npz") as kept:
            return {name: kept[name] for name in kept.files}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The one written in C where it is there."""


@dataclass(frozen=True)
class Missing:
    """A cell of a sweep without scores: its name, how far it is, and why."""

    name: str
    status: str
    reason: str


def drive_of(name: str) -> str:
    """CamVid's frames are named by drive and number: ``0001TP_008550``, ``Seq05VD_f00000``."""
    match = re.match(r"(.+?)[_-]?f?\d+$", Path(name).stem)
    return match[1] if match else name


def as_folders(given: str | Sequence[str]) -> list[Path]:
    """What ``runs=FOLDER`` or ``runs=[A,B]`` names."""
    return [Path(given)] if isinstance(given, str) else [Path(one) for one in given]


def find_runs(folders: Iterable[Path]) -> list[Run]:
    """Every finished run in these folders: a run's own, or one that holds runs at any depth.

    Raises:
        UserError: a folder is not there or holds none, or the runs cannot stand in one table.
    """
    runs = [Run.read(folder) for folder in run_folders(folders)]
    refuse_mixed(runs)
    return runs


def run_folders(folders: Iterable[Path]) -> list[Path]:
    """The folders of the finished runs in these, each once.

    Raises:
        UserError: a folder is not there or holds none.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"runs={folder}: there is no such folder; expected runs or a sweep")
        scored = folder.rglob("metrics.json")
        here = sorted(p.parent for p in scored if not INSIDE & {*p.relative_to(folder).parts})
        if not here:
            raise UserError(f"runs={folder}: it holds no finished run, no metrics.json anywhere")
        found |= {path.resolve(): path for path in here}
    return list(found.values())


def refuse_mixed(runs: Sequence[Run]) -> None:
    """Numbers of two protocols do not stand in one table.

    Raises:
        UserError: the runs differ in protocol, in the split scored or in its frames.
    """
    first = runs[0]
    for run in runs[1:]:
        where = f"{first.folder} and {run.folder}"
        if run.protocol != first.protocol:
            raise UserError(
                f"{where} were scored by different protocols: {differing(first, run)}.\n"
                "Numbers of different protocols are not compared; give each a report of its own."
            )
        if run.split != first.split:
            raise UserError(f"{where} were scored on {first.split} and {run.split}: leave one out.")
        if run.names != first.names or run.classes != first.classes:
            raise UserError(
                f"{where} say {run.protocol}, but their frames or classes differ: leave one out."
            )


def differing(first: Run, second: Run) -> str:
    """The fields of the protocol in which two runs differ, with both values."""
    ours, theirs = (run.protocol.split("-") for run in (first, second))
    if len(ours) != len(theirs) or len(ours) != len(FIELDS):
        return f"{first.protocol} against {second.protocol}"
    named = zip(FIELDS, ours, theirs, strict=True)
    return ", ".join(f"{name} {a} against {b}" for name, a, b in named if a != b)


def missing_cells(folders: Iterable[Path]) -> list[Missing]:
    """The cells of sweeps in these folders that have no scores."""
    sweeps = [SweepFolder.read(record.parent) for f in folders for record in f.rglob("sweep.json")]
    cells = [(cell, cell.progress()) for sweep in sweeps for cell in sweep.cells]
    return [
        Missing(cell.name, now.status, now.reason) for cell, now in cells if now.status != "done"
    ]
