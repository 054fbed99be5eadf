"""Writes composed cells into a sweep's folder, each of them checked and frozen."""

import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcn_lab.config.frozen import freeze, read_frozen
from fcn_lab.config.yaml_text import dump_yaml
from fcn_lab.errors import UserError
from fcn_lab.runs.names import CONFIG, SWEEP_CODE, SWEEP_RECORD, SWEEP_RESULTS
from fcn_lab.runs.outcomes import is_finished
from fcn_lab.runs.records import DamagedFile, read_text
from fcn_lab.runs.statuses import FINAL_STATUSES
from fcn_lab.runs.sweep import Cell, SweepFolder
from fcn_lab.sweeps import snapshot
from fcn_lab.sweeps.reuse import LABEL_KEYS, flatten_settings
from fcn_lab.sweeps.studies import locate_estimates
from fcn_lab.text.escaping import omegaconf_text
from fcn_lab.text.terminal import report_progress
from fcn_lab.worker.claims import (
    clear_leftovers,
    is_in_use,
    remove_empty,
    require_no_links_outside,
    require_own,
)
from fcn_lab.worker.flags import ELSEWHERE_FLAG, ESTIMATE_FLAG
from fcn_lab.worker.supervisor import EXIT_MISTAKE, build_worker_environment


@dataclass(frozen=True)
class ComposedCell:
    """A cell before it is frozen: its name, its whole configuration, and what to say of it."""

    name: str
    config: dict[str, Any]
    remarks: Sequence[str] = ()


def find_group(path: Path) -> str:
    """Returns the group of a sweep's cells: the recorded one, else the name of its folder.

    A folder that was renamed goes on with the group that its cells have.
    """
    for config in sorted(path.glob(f"*/{CONFIG}")):
        # what is damaged is refused once all cells are known
        with suppress(DamagedFile):
            if group := read_frozen(config).get("group"):
                return omegaconf_text(str(group))
    return omegaconf_text(path.resolve().name)


def freeze_sweep(
    path: Path,
    composed_cells: Sequence[ComposedCell],
    record: SweepFolder,
    runs_here: bool,
    accept_changes: bool,
) -> list[Cell]:
    """Freezes new cells in the folder, and leaves those that have begun as they were.

    Where no cell has begun, all that was frozen before is frozen anew.

    Args:
        path: the sweep's folder, which the caller holds (`hold_sweep`).
        composed_cells: all cells asked for; of equal ones, one is frozen.
        record: the sweep's record to be written; its cells are filled in.
        runs_here: whether the cells will run on this machine.
        accept_changes: whether sources and settings may differ from those frozen before.

    Returns:
        The cells asked for.

    Raises:
        UserError: a cell cannot run, or differs from what was frozen.
    """
    configs = _name_configs(composed_cells)
    cells = {name: _create_cell(name, path / name, config) for name, config in configs.items()}
    last = SweepFolder.read(path) if (path / SWEEP_RECORD).is_file() else None
    _require_own(path, last is None, cells.values())
    if last is not None:
        require_no_links_outside(path)
    rest = [cell for cell in cells.values() if cell.read_progress().status not in FINAL_STATUSES]
    new_cells = [cell for cell in rest if not is_in_use(cell.folder)]
    own_code = snapshot.hash_own_code(config["task"] for config in configs.values())
    if last is not None and not accept_changes and _has_begun(last):
        if rest:
            snapshot.require_unchanged(last, own_code)
        _require_equal(list(cells.values()), configs)
    codes = snapshot.list_versions(path)
    cells_to_clear = [cell for cell in new_cells if not (cell.folder / CONFIG).exists()]
    try:
        for cell in report_progress(new_cells, len(new_cells), "freezing the cells"):
            _freeze_new(cell, configs[cell.name], accept_changes)
        record.own_code = own_code if last is None else {**last.own_code, **own_code}
        record.code = snapshot.copy_sources(path) if rest or last is None else last.code
        estimate = locate_estimates(path) if record.study and last is None and runs_here else None
        _preflight(rest, path / SWEEP_CODE / record.code, runs_here, estimate)
    except BaseException:
        for cell in cells_to_clear:
            (cell.folder / CONFIG).unlink(missing_ok=True)
            remove_empty(cell.folder, 1)
        for code in snapshot.list_versions(path) - codes:
            shutil.rmtree(path / SWEEP_CODE / code, ignore_errors=True)
        remove_empty(path / SWEEP_CODE, 1)
        raise
    old_cells = {cell.name: cell for cell in last.cells} if last is not None else {}
    # cells that have begun stay as they were, whatever this command says of them
    new_names = {cell.name for cell in new_cells} | cells.keys() - old_cells.keys()
    all_cells = {**old_cells, **{name: cells[name] for name in cells if name in new_names}}
    record.cells = list(all_cells.values())
    record.write()
    return [all_cells[name] for name in cells]


def _name_configs(cells: Iterable[ComposedCell]) -> dict[str, dict[str, Any]]:
    """Returns the configurations by the cells' names.

    Raises:
        UserError: two different configurations have the same name.
    """
    configs: dict[str, dict[str, Any]] = {}
    for cell in cells:
        key = _find_difference(configs.setdefault(cell.name, cell.config), cell.config)
        if key is not None:
            raise UserError(
                f"two cells differ in {key} and would both be named {cell.name}.\n"
                "Give values that letters, digits and _.=,+- tell apart"
            )
    return configs


def _find_difference(
    first: Mapping[str, Any], second: Mapping[str, Any], is_done: bool = False
) -> str | None:
    """Returns the first key in which two configurations differ, in the order of the keys.

    For a cell that is done, only keys count that its numbers depend on and that both state: a key
    of one alone may be newer than the other.
    """
    if first == second:
        return None
    settings, others = (flatten_settings(config) for config in (first, second))
    keys = settings.keys() & others.keys() if is_done else settings.keys() | others.keys()
    if is_done:
        # the same data may lie in another folder
        keys = {key for key in keys if key.split(".")[0] not in LABEL_KEYS} - {"data.root"}
    return next((key for key in sorted(keys) if settings.get(key) != others.get(key)), None)


def _freeze_new(cell: Cell, config: Mapping[str, Any], accept_changes: bool) -> None:
    """Freezes a cell that has not begun, though another runner may begin it at any moment."""
    if _is_untouched(cell, config):
        return
    if not is_in_use(cell.folder):
        clear_leftovers(cell.folder)
        freeze(config, cell.folder)
    elif not accept_changes:
        _require_equal([cell], {cell.name: config})


def _has_begun(sweep: SweepFolder) -> bool:
    return any(is_in_use(cell.folder) for cell in sweep.cells)


def _is_untouched(cell: Cell, config: Mapping[str, Any]) -> bool:
    """Returns whether a cell is frozen with exactly this config and has not begun."""
    path = cell.folder / CONFIG
    return (
        path.exists()
        and {entry.name for entry in cell.folder.iterdir()} == {path.name}
        and read_text(path) == dump_yaml(config)
    )


def _require_own(path: Path, is_new: bool, cells: Iterable[Cell]) -> None:
    if is_new and (path / SWEEP_RESULTS).exists():
        raise UserError(
            f"{path} holds results.csv and no sweep.json: no sweep has written it, and this one "
            "would.\nsweep.dir= chooses another folder."
        )
    for cell in cells:
        require_own(cell.folder, "sweep.dir= chooses another folder.")


def _create_cell(name: str, folder: Path, config: Mapping[str, Any]) -> Cell:
    trainer = config.get("trainer") or {}
    words = {**config["words"], "seed": config["seed"]}
    return Cell(
        name,
        folder,
        words,
        trainer.get("devices", 1),
        trainer.get("accelerator") == "cpu",
        trainer.get("max_epochs"),
    )


def _require_equal(cells: Sequence[Cell], configs: Mapping[str, Mapping[str, Any]]) -> None:
    for cell in report_progress(cells, len(cells), "comparing the cells"):
        path = cell.folder / CONFIG
        if not path.exists():
            continue
        old_config, config = read_frozen(path), configs[cell.name]
        key = _find_difference(old_config, config, is_finished(cell.folder))
        if key is not None:
            values = [flatten_settings(settings).get(key) for settings in (old_config, config)]
            raise UserError(
                f"{cell.name} was frozen with {key}={values[0]}, "
                f"this command says {key}={values[1]}.\n"
                "sweep.dir= chooses another folder; "
                "sweep.accept_changes=true freezes anew the cells that have not begun."
            )


def _preflight(cells: Sequence[Cell], code: Path, runs_here: bool, estimate: Path | None) -> None:
    if not cells:
        return
    flags = [] if runs_here else [ELSEWHERE_FLAG]
    flags += [f"{ESTIMATE_FLAG}{estimate}"] if estimate is not None else []
    result = subprocess.run(
        [sys.executable, "-m", "fcn_lab.worker.preflight", *flags],
        # sent this way since no command line holds tens of thousands of folders
        input="\0".join(str(cell.folder) for cell in cells),
        env=build_worker_environment(code),
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )
    if result.returncode == EXIT_MISTAKE:
        raise UserError(result.stderr.strip())
    if result.returncode != 0:
        lines = result.stderr.split("\n")
        reason = next(filter(None, reversed(lines)), f"its exit status is {result.returncode}")
        # the traceback, which a user may ask for, has the whole output
        raise UserError(f"the cells cannot be checked: {reason}") from RuntimeError(result.stderr)
