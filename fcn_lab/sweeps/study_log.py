"""Opens the study of a search in its sweep's folder: ``study.log``, where Optuna keeps trials."""

import json
import os
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path

import optuna
from optuna.pruners import BasePruner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from fcn_lab.errors import UserError
from fcn_lab.files import make_folder
from fcn_lab.runs.names import CONFIG
from fcn_lab.runs.outcomes import read_metrics
from fcn_lab.runs.records import DamagedFile, require_regular_file
from fcn_lab.sweeps.search_space import SearchSpace
from fcn_lab.worker.claims import has_begun

_ADVICE = (
    "The cells keep what was computed. With this file out of the way the same command draws the "
    "same trials, and runs none that is done:"
)
# overrides that change no trial's score
_OTHER_PREFIXES = ("sweep.", "allow=")


def open_study(
    folder: Path,
    space: SearchSpace,
    pruner: BasePruner | None = None,
    accept_changes: bool = False,
) -> optuna.Study:
    """Opens the study of a sweep's folder; begins it where there is none.

    A study of which no cell has begun is replaced when the axes are others, or after a mistake that
    made all of its trials fail.

    Args:
        folder: the sweep's folder.
        space: the axes, and the settings that all trials share.
        pruner: Optuna's pruner of the trials.
        accept_changes: whether these settings may differ from those the study was begun with.

    Raises:
        UserError: it was begun with other axes or settings.
        DamagedFile: it is not what Optuna writes, or its scores are not those of the cells.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    make_folder(folder)
    path = folder / "study.log"
    study = _load_whole(path, pruner)
    new_texts = _describe(space)
    old_texts = {name: study.user_attrs.get(name, text) for name, text in new_texts.items()}
    states = {trial.state for trial in study.get_trials(deepcopy=False)}
    if (old_texts != new_texts or TrialState.FAIL in states) and not _has_begun(folder, states):
        path.unlink()
        study, old_texts = _load(path, pruner), new_texts
    _require_same(folder, old_texts, new_texts, accept_changes)
    for name, text in new_texts.items():
        study.set_user_attr(name, text)
    return study


def _describe(space: SearchSpace) -> dict[str, str]:
    settings = (word for word in space.fixed_overrides if not word.startswith(_OTHER_PREFIXES))
    return {
        "axes": json.dumps(dict(sorted(space.text.items()))),
        "settings": json.dumps(sorted(settings)),
    }


def _require_same(
    folder: Path, old_texts: Mapping[str, str], new_texts: Mapping[str, str], accept_changes: bool
) -> None:
    if old_texts["axes"] != new_texts["axes"]:
        old_text, new_text = (
            " ".join(json.loads(text["axes"]).values()) for text in (old_texts, new_texts)
        )
        raise UserError(
            f"{folder} holds a search of {old_text}; this command searches {new_text}.\n"
            "sweep.dir= chooses another folder."
        )
    if old_texts["settings"] != new_texts["settings"] and not accept_changes:
        old_text, new_text = (
            " ".join(json.loads(text["settings"])) for text in (old_texts, new_texts)
        )
        raise UserError(
            f"{folder} holds a search with {old_text or 'no settings'}; "
            f"this command says {new_text or 'none'}.\n"
            "sweep.dir= chooses another folder; sweep.accept_changes=true goes on with these."
        )


def _load_whole(path: Path, pruner: BasePruner | None) -> optuna.Study:
    """Loads the study, after a check of every line and of its scores."""
    try:
        if os.path.lexists(path):
            require_regular_file(path)
            _drop_half_line(path)
        study = _load(path, pruner)
        for trial in study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
            _require_true(trial, path.parent)
    except OSError:
        raise
    # Optuna checks nothing that it reads: a changed line may lead to any error
    except Exception as error:
        reason = (
            error.reason if isinstance(error, DamagedFile) else f"{type(error).__name__}: {error}"
        )
        command = shlex.join(["mv", str(path), str(path.with_suffix(".damaged"))])
        raise DamagedFile(path, reason, f"{_ADVICE}\n{command}") from error
    return study


def _require_true(trial: FrozenTrial, folder: Path) -> None:
    """Compares a trial's value with its cell's score, where that can be read."""
    cell, value = trial.user_attrs["cell"], trial.value
    try:
        score = read_metrics(folder / cell)["val"]["mean_iou"]
    except DamagedFile:
        return
    if score != value:
        raise ValueError(f"val mean IoU of {cell} is {score} in its folder and here {value}")


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
    return any(has_begun(cell.parent) for cell in folder.glob(f"*/{CONFIG}"))


def _drop_half_line(path: Path) -> None:
    """Removes the half line that a crash of the machine left, before another line follows it."""
    if path.exists() and not (content := path.read_bytes()).endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
