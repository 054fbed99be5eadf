"""Decides whether a folder is free for a new run, and clears it of runs that never began.

A training exists from its first step on, which leaves history.csv; another task from its end on.
Until then the next command takes its folder over, and a command that was refused leaves the folder
as it was. A user's own files stay; where a run would write over one, it is refused.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from fcn_lab.errors import UserError
from fcn_lab.files import DRAFT_PREFIX
from fcn_lab.runs import names
from fcn_lab.runs.attempts import Attempt, RunConflict, begin_attempt, find_last_attempt
from fcn_lab.runs.outcomes import is_finished
from fcn_lab.runs.statuses import RunStatus
from fcn_lab.text.commands import format_command

# files that exist before a first step, and those that a killed scoring leaves
LEFTOVER_FILES = (
    *(f"{DRAFT_PREFIX}*", names.CONFIG, names.ENVIRONMENT, "git.diff", "git.*.diff"),
    *(names.TRACEBACK, names.CHECKPOINTS, "wandb", "csv", "tensorboard"),
    *(names.PANELS, names.PREDICTIONS, "predictions.*.zip", names.CONFUSIONS, names.VAL_CONFUSIONS),
)
RESULT_FILES = (
    *(names.HISTORY, names.GRADIENTS, names.METRICS, names.STAGES, "audit.html", "audit.json"),
    *("capacity", "capacity.json", "ceilings.csv", "ceilings.json", "costs.*", "profile.json"),
    *("export.json", "network.onnx", "network.pt", "network.pt2", "shapes.json"),
)
STEP_FILES = (
    names.HISTORY,
    f"{names.CHECKPOINTS}/*.ckpt",
    f"{names.STAGES}/*/{names.HISTORY}",
    f"{names.STAGES}/*/{names.METRICS}",
)
OTHER_FOLDER_ADVICE = "hydra.run.dir= chooses another folder."
# where W&B links to its log in the folder that the run was made in
_WANDB_LOG = "wandb/*run-*/logs/debug-core.log"


def claim(folder: Path) -> Attempt:
    """Makes this process the holder of a folder for a new run, and clears what never began.

    Raises:
        UserError: it is held, or holds a run, or files that the new run would write over.
    """
    require_free(folder)
    attempt = hold(folder)
    # by another process that came and went since
    if has_begun(folder):
        attempt.path.unlink(missing_ok=True)
        require_free(folder)
    clear_leftovers(folder)
    return attempt


def hold(folder: Path, take_done: bool = False) -> Attempt:
    """Makes this process the holder of a run; of one that is done only with `take_done`.

    Raises:
        UserError: another process is its holder, which the message names.
    """
    try:
        return begin_attempt(folder, take_done)
    except RunConflict as conflict:
        raise UserError(f"{conflict}.\nWait for its end, or choose another folder") from conflict


def require_free(folder: Path) -> None:
    """Refuses a folder whose content a new run would write over; changes nothing.

    Raises:
        UserError: it is a sweep's, holds a run, or holds other files that a run would write over.
    """
    for sweep in (folder, folder.parent):
        if (sweep / names.SWEEP_RECORD).is_file() and (sweep == folder or _holds_config(folder)):
            go_on = format_command("-m", f"sweep.dir={sweep}")
            raise UserError(
                f"{folder} belongs to a sweep. {OTHER_FOLDER_ADVICE} To go on with that:\n{go_on}"
            )
    require_own(folder, OTHER_FOLDER_ADVICE)
    if has_ended(folder):
        raise UserError(f"{folder} holds a run that is finished.\n{OTHER_FOLDER_ADVICE}")
    if has_begun(folder):
        go_on = format_command(f"resume={folder}")
        raise UserError(
            f"{folder} holds a run already. {OTHER_FOLDER_ADVICE} To go on with it:\n{go_on}"
        )


def require_own(folder: Path, advice: str) -> None:
    """Refuses a folder with files that a run would write over and that no run has written.

    Raises:
        UserError: there is such a file; the message ends with `advice`.
    """
    if find_last_attempt(folder) is None and not _holds_config(folder):
        for file in _find_files(folder, (*LEFTOVER_FILES, *RESULT_FILES)):
            raise UserError(
                f"{file} was not written by a run, and a run would overwrite it.\n{advice}"
            )


def has_begun(folder: Path) -> bool:
    """Returns whether a training has made a step there, or another kind of run has ended."""
    return any(_find_files(folder, STEP_FILES)) or has_ended(folder)


def is_in_use(folder: Path) -> bool:
    """Returns whether the folder holds results, or a process is about to write them."""
    attempt = find_last_attempt(folder)
    return has_begun(folder) or (attempt is not None and attempt.is_alive())


def has_ended(folder: Path) -> bool:
    """Returns whether the folder's run, of any task, is finished."""
    if (folder / names.METRICS).exists():
        return is_finished(folder)
    if any(_find_files(folder, STEP_FILES)):
        return False
    attempt = find_last_attempt(folder)
    # runs of earlier versions have no attempts
    if attempt is None:
        return _holds_config(folder) and any(_find_files(folder, RESULT_FILES))
    return attempt.status == RunStatus.DONE


def withdraw(attempt: Attempt, folder_count: int) -> bool:
    """Restores the folder of a refused command, apart from results, which stay.

    Args:
        attempt: the command's attempt.
        folder_count: how many folders of the path did not exist before it.

    Returns:
        Whether the attempt is gone, too.
    """
    folder = attempt.path.parent.parent
    if has_begun(folder) or any(_find_files(folder, RESULT_FILES)):
        return False
    # a process that was stopped, and wakes up behind another one, owns nothing here
    if attempt.path.with_stem(str(attempt.number + 1)).exists():
        return False
    clear_leftovers(folder)
    for path in (
        *attempt.path.parent.glob(f"{DRAFT_PREFIX}*"),
        *attempt.path.parent.glob("*.json"),
    ):
        if path != attempt.path:
            path.unlink(missing_ok=True)
    # the last, since it is what keeps others out
    attempt.path.unlink(missing_ok=True)
    remove_empty(attempt.path.parent, folder_count + 1)
    return True


def require_no_links_outside(folder: Path) -> None:
    """Refuses to write where a link would lead the writing out of `folder`.

    W&B's link to its own log may: it names the place where the run was made, which may have been
    moved since, and nobody writes there again.

    Raises:
        UserError: there is such a link, which the message names.
    """
    root = folder.resolve()
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if not path.is_symlink() or path.match(_WANDB_LOG):
                continue
            if not Path(os.path.realpath(path)).is_relative_to(root):
                raise UserError(
                    f"{path} is a link that leads out of {folder}, where a run would write.\n"
                    f"rm {path}, or put a copy of what it leads to in its place"
                )


def clear_leftovers(folder: Path) -> None:
    """Removes what precedes a first step."""
    for path in list(_find_files(folder, LEFTOVER_FILES)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def remove_empty(folder: Path, count: int) -> None:
    """Removes this folder and those above it, `count` in all, as far as they are empty."""
    with suppress(OSError):
        for path in [folder, *folder.parents][:count]:
            path.rmdir()


def find_existing(folder: Path) -> Path:
    """Returns the part of a path that exists: the folder itself, or the next above it; absolute."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists()).resolve()


def count_levels(folder: Path, root: Path) -> int:
    """Returns how many folders lie on the way; none where `root` is not above."""
    folder = folder.resolve()
    return len(folder.relative_to(root).parts) if folder.is_relative_to(root) else 0


def _holds_config(folder: Path) -> bool:
    """Returns whether the folder's config.yaml is that of a run."""
    path = folder / names.CONFIG
    # nor one that a refused command has just taken away
    with suppress(OSError):
        return path.is_file() and "\nlinks:" in path.read_text(encoding="utf-8", errors="replace")
    return False


def _find_files(folder: Path, patterns: Sequence[str]) -> Iterator[Path]:
    for pattern in patterns:
        # a folder may be taken away while it is looked through
        with suppress(FileNotFoundError):
            yield from folder.glob(pattern)
