"""``resume=RUN_DIR``: which run continues, for how many epochs, and which words it refuses."""

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from fcn_lab.cli.paths import find_path
from fcn_lab.config.frozen import read_frozen, read_recorded
from fcn_lab.config.trust import require_allowed
from fcn_lab.errors import UserError
from fcn_lab.runs.names import CONFIG, EPOCHS, HISTORY, METRICS
from fcn_lab.runs.next_steps import list_run_steps
from fcn_lab.worker.claims import has_ended, hold, require_no_links_outside
from fcn_lab.worker.flags import EPOCHS_FLAG, RESUME_FLAG

# the words that may stand beside it: where words lie, and what is trusted
_SEPARATE_KEYS = ("resume", "allow", "hydra.searchpath")


@dataclass(frozen=True)
class Resumption:
    """A run to continue, and the epochs it is asked for; None keeps those it began with."""

    folder: Path
    epochs: int | None

    @property
    def flags(self) -> list[str]:
        """Returns the worker's arguments."""
        epochs = [] if self.epochs is None else [f"{EPOCHS_FLAG}{self.epochs}"]
        return [RESUME_FLAG, *epochs]


def read_resumption(overrides: Sequence[str]) -> Resumption | None:
    """Returns what `overrides` says of a resume, or None where it says nothing of one.

    Raises:
        UserError: a recorded run does not take the words beside it, or the epochs are no number.
    """
    path = find_path("resume", overrides)
    if path is None:
        return None
    folder, epochs, words = Path(path), None, []
    for override in overrides:
        key, _, value = override.partition("=")
        if key.lstrip("+") == EPOCHS:
            epochs = _read_epochs(value)
        elif key.lstrip("+") not in _SEPARATE_KEYS:
            words.append(override)
    if words or {"-m", "--multirun"} & set(sys.argv):
        others = shlex.join(words) or "-m"
        raise UserError(
            f"resume={folder} goes on with the run exactly as it was recorded; leave out {others}\n"
            f"{EPOCHS}=N may stand beside it: the run is then trained for N epochs in all"
        )
    return Resumption(folder, epochs)


def hold_resumed(resumption: Resumption) -> None:
    """Makes this process the holder of a run that can continue; ends it where the run is done.

    Raises:
        UserError: there is no run, another process holds it, or it may not be trusted or trained.
    """
    folder = resumption.folder
    config = read_recorded(folder)
    require_allowed(read_frozen(folder / CONFIG)["task"], str(folder))
    require_no_links_outside(folder)
    epochs = OmegaConf.select(config, EPOCHS)
    if has_ended(folder):
        if resumption.epochs in (None, epochs):
            _tell_done(folder)
        if not (folder / HISTORY).exists():
            raise UserError(
                f"{folder} is no training, so there are no epochs to add.\n"
                f"Expected resume=RUN_DIR {EPOCHS}=N, where RUN_DIR holds {HISTORY}"
            )
    hold(folder, take_done=resumption.epochs is not None)
    print(f"going on with {folder}", flush=True)


def _read_epochs(text: str) -> int:
    if not re.fullmatch("0*[1-9][0-9]{0,8}", text):
        raise UserError(f"{EPOCHS}={text}: expected a whole number of epochs, 1 or more")
    return int(text)


def _tell_done(folder: Path) -> None:
    from fcn_lab.text.terminal import print_next

    scores = folder / METRICS
    print(f"{folder} is done" + (f": its scores are in {scores}" if scores.exists() else ""))
    print_next(list_run_steps(folder))
    sys.exit(0)
