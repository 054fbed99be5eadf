"""The study of a search in its sweep's folder: ``study.log``, what Optuna knows of all trials."""

import json
from collections.abc import Collection
from pathlib import Path

import optuna
from optuna.pruners import BasePruner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from fcn_lab.errors import UserError
from fcn_lab.files import make_folder
from fcn_lab.sweeps.search_space import Space
from fcn_lab.worker.claims import has_begun


def open_study(folder: Path, space: Space, pruner: BasePruner | None = None) -> optuna.Study:
    """The study of a sweep's folder, begun where there is none.

    One of which no cell has begun gives way to other axes, and to the command that follows a
    mistake which made all of its trials fail.

    Raises:
        UserError: it was begun with other axes.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    make_folder(folder)
    path = folder / "study.log"
    _mend(path)
    study = _load(path, pruner)
    axes = json.dumps(dict(sorted(space.text.items())))
    before = study.user_attrs.get("axes", axes)
    states = {trial.state for trial in study.get_trials(deepcopy=False)}
    if (before != axes or TrialState.FAIL in states) and not _has_begun(folder, states):
        path.unlink()
        study, before = _load(path, pruner), axes
    if before != axes:
        was, now = (" ".join(json.loads(text).values()) for text in (before, axes))
        raise UserError(
            f"{folder} holds a search of {was}; this command searches {now}.\n"
            "sweep.dir= chooses another folder."
        )
    study.set_user_attr("axes", axes)
    return study


def _load(path: Path, pruner: BasePruner | None) -> optuna.Study:
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(path))),
        study_name="search",
        direction="maximize",
        pruner=pruner,
        load_if_exists=True,
    )


def _has_begun(folder: Path, states: Collection[TrialState]) -> bool:
    if {TrialState.COMPLETE, TrialState.PRUNED} & set(states):
        return True
    return any(has_begun(cell.parent) for cell in folder.glob("*/config.yaml"))


def _mend(path: Path) -> None:
    """Drops the half line that a crash of the machine left, before another is written behind it."""
    if path.exists() and not (content := path.read_bytes()).endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
