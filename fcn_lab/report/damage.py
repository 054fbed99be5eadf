"""Finished runs of which a file cannot be read: left out and named, while the rest is shown."""

import json
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import yaml

from fcn_lab.errors import UserError
from fcn_lab.report.runs import Missing, Run, refuse_mixed, run_folders

# what reading a damaged file may raise: the system, JSON, YAML, numpy and zip archives
_UNSOUND = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, RecursionError),
    *(yaml.YAMLError, zipfile.BadZipFile, zlib.error, NotImplementedError),
)


def find_sound(folders: Iterable[Path]) -> tuple[list[Run], list[Missing]]:
    """The finished runs that can be read, and what is wrong with the others.

    Raises:
        UserError: as `find_runs`; where none can be read, it names the first.
    """
    sound: list[Run] = []
    damaged: list[Missing] = []
    for folder in run_folders(folders):
        reason = find_damage(folder)
        if reason is None:
            sound.append(Run.read(folder))
        else:
            damaged.append(Missing(str(folder), "damaged", reason))
    if not sound:
        raise UserError(f"{damaged[0].name}: {damaged[0].reason}\nNo run there can be read")
    refuse_mixed(sound)
    return sound, damaged


def find_damage(folder: Path) -> str | None:
    """Which file of a finished run cannot be read and why; None where all can."""
    file = "metrics.json"
    try:
        metrics = json.loads((folder / file).read_text(encoding="utf-8"))
        run = Run(folder, metrics, {})
        told = all((run.protocol, run.factors, run.seed is not None))
        file = "confusions.npz"
        frames, classes = len(run.names), len(run.classes)
        if not (told and run.split) or run.matrices.shape != (frames, classes, classes):
            return f"{file} holds no matrix for each frame"
        file = "config.yaml"
        Run.read(folder).factors  # noqa: B018  (read, which is what may fail)
    except _UNSOUND as error:
        first = (str(error).splitlines() or [""])[0]
        return f"{file} cannot be read ({type(error).__name__}: {first})"
    return None
