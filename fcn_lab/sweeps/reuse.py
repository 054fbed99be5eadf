"""Takes cells from earlier sweeps: with the same settings, they are the same run.

``sweep.reuse=[FOLDER,…]`` names sweeps or runs that are done. A new cell whose settings are those
of one of them is not trained again: the run is linked into the sweep, and keeps the commit that it
was trained with in its env.json.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fcn_lab.config.frozen import read_frozen
from fcn_lab.errors import UserError
from fcn_lab.files import find_files, publish_folder
from fcn_lab.runs.keys import list_leaves
from fcn_lab.runs.names import CONFIG
from fcn_lab.runs.outcomes import is_finished
from fcn_lab.runs.records import DamagedFile
from fcn_lab.runs.sweep import Cell
from fcn_lab.worker.claims import has_begun, is_in_use

# the names of a run and its loggers, on which no number of it depends
LABEL_KEYS = ("name", "group", "arm", "choices", "logger")


def find_done_runs(folders: Sequence[Path]) -> dict[str, Path]:
    """Returns the finished runs in these folders by their settings.

    Raises:
        UserError: there is no such folder.
    """
    for folder in folders:
        if not folder.is_dir():
            raise UserError(
                f"sweep.reuse={folder}: there is no such folder; expected finished runs"
            )
    configs = (path for folder in folders for path in sorted(find_files(CONFIG, folder)))
    runs = [path.parent for path in configs if is_finished(path.parent)]
    return {settings: run for run in runs if (settings := _describe_settings(run)) is not None}


def link_done_cells(cells: Iterable[Cell], runs: Mapping[str, Path]) -> Iterator[str]:
    """Links into each cell's folder the finished run of the same settings, where there is one.

    Args:
        cells: frozen ones; those that have begun are left alone.
        runs: what `find_done_runs` has found.

    Yields:
        A line for each cell that needs no training.
    """
    for cell in cells if runs else ():
        run = runs.get(_describe_settings(cell.folder) or "")
        if run is not None and not has_begun(cell.folder):
            _link_run(run, cell.folder)
            yield f"{cell.name}: taken from {run}"


def flatten_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns every value by its dotted key, without copies of a value under other keys."""
    return dict(list_leaves(config, copies={"links", *config["links"]}))


def _describe_settings(run: Path) -> str | None:
    """Returns every setting that a run's numbers depend on; None where its record is damaged."""
    try:
        values = flatten_settings(read_frozen(run / CONFIG))
    except (DamagedFile, UserError, KeyError):
        return None
    settings = {key: value for key, value in values.items() if key.split(".")[0] not in LABEL_KEYS}
    return repr(sorted(settings.items()))


def _link_run(run: Path, folder: Path) -> None:
    """Puts a folder with all files of the run in the cell's place, in one step.

    The cell's own files stay, such as its config with its own labels; links are not followed.
    """
    with publish_folder(folder, is_in_use) as draft:
        for source in (folder, run):
            shutil.copytree(source, draft, symlinks=True, copy_function=_share, dirs_exist_ok=True)


def _share(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        # the cell has a file of its own
        return
    except OSError:
        # the folders are on two file systems, or on one without links
        shutil.copy2(source, target)
