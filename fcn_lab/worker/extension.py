"""Continues a run for another number of epochs than it began with.

This is allowed only where the run ends, bit for bit, like one with these epochs from the start,
that is where the learning rates so far would have been the same. Everything else is refused before
a file is touched, with the command that starts a new run from its best weights.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from fcn_lab.config.frozen import freeze, read_recorded, resolve
from fcn_lab.errors import UserError
from fcn_lab.runs.names import EPOCHS, SWEEP_RECORD
from fcn_lab.runs.run import RunFolder
from fcn_lab.tasks.staged import TrainInStages
from fcn_lab.tasks.train import Train
from fcn_lab.text.commands import format_command
from fcn_lab.text.terminal import format_count
from fcn_lab.training.optim import keeps_rates


def read_extension(folder: Path, epochs: int) -> "Extension | None":
    """Returns the extension of a run to so many epochs; None where it has them already.

    Raises:
        UserError: the run has no such key.
    """
    config = read_recorded(folder)
    epochs_before = OmegaConf.select(config, EPOCHS)
    if not isinstance(epochs_before, int):
        raise UserError(f"{folder}: its config.yaml has no {EPOCHS}, so that none can be added")
    # links make all copies of the number follow
    config.trainer.max_epochs = epochs
    is_other = epochs_before != epochs
    return (
        Extension(RunFolder(folder), resolve(config), epochs_before, epochs) if is_other else None
    )


@dataclass(frozen=True)
class Extension:
    """A run, and its resolved configuration as it would have been for other epochs.

    Args:
        folder: the run's folder.
        config: the configuration with these epochs, in plain mappings and lists.
        epochs_before: the epochs it began with.
        epochs: the epochs it is asked for.
    """

    folder: RunFolder
    config: dict[str, Any]
    epochs_before: int
    epochs: int

    def require_same_past(self, task: object) -> None:
        """Refuses epochs with which the run would have trained otherwise so far.

        Args:
            task: the task, built from the new configuration.

        Raises:
            UserError: the two differ, or the run's last checkpoint is not there or damaged.
        """
        if not isinstance(task, Train) or task.training.max_epochs != self.epochs:
            raise UserError(f"{self.folder.path}: {EPOCHS} is no setting of its task")
        if isinstance(task, TrainInStages):
            raise self._refuse(
                "the epochs of its stages would have been others", task, self.epochs_before
            )
        is_cell = (self.folder.path.parent / SWEEP_RECORD).is_file()
        if not self.folder.last_checkpoint.exists():
            if self.folder.history.exists():
                raise self._refuse("its last checkpoint is gone", task, self.epochs_before)
            if is_cell:
                raise UserError(
                    f"{self.folder.path} is a cell of a sweep, whose cells train alike.\n"
                    f"Leave out {EPOCHS}="
                )
            return
        self.folder.require_sound()
        last = torch.load(
            self.folder.last_checkpoint, map_location="cpu", weights_only=True, mmap=True
        )
        count = int(last["epoch"]) + 1
        if self.epochs < count:
            raise UserError(
                f"{self.folder.path} has trained {format_count(count, 'epoch')} already.\n"
                f"Expected {EPOCHS}={count} or more"
            )
        if is_cell:
            raise self._refuse("it is a cell of a sweep, whose cells train alike", task, count)
        self._require_same_rates(task, count)
        patience, waits = task.training.patience, last["callbacks"]["BestAndLast"]["waited"]
        if patience is not None and waits >= patience and self.epochs > count:
            reason = f"trainer.patience={patience} ended it after {format_count(count, 'epoch')}"
            raise self._refuse(f"{reason}, and would again", task, count)

    def apply(self) -> None:
        """Moves existing scores aside, since the run is not done, and writes the new configuration.

        A kill between the two leaves the run as it was, except that it has to be scored again.
        """
        if self.folder.metrics.exists():
            path = self.folder.path / f"metrics.{self.epochs_before}_epochs.json"
            self.folder.metrics.replace(path)
            print(
                f"its scores after {format_count(self.epochs_before, 'epoch')}: {path}", flush=True
            )
        freeze(self.config, self.folder.path)

    def _require_same_rates(self, task: Train, count: int) -> None:
        if not keeps_rates(task.optim.schedule, count / self.epochs_before, count / self.epochs):
            word = (self.config["choices"] or {}).get("schedule")
            first = f"its first {count} would" if count > 1 else "its first would"
            reason = f"schedule={word} spans them all, and {first} have had other rates"
            raise self._refuse(reason, task, count)

    def _refuse(self, reason: str, task: Train, count: int) -> UserError:
        rest = max(self.epochs - count, task.training.val_every)
        words = [f"again={self.folder.path}", f"init_from={self.folder.path}", f"{EPOCHS}={rest}"]
        if isinstance(task, TrainInStages):
            words.insert(1, "task=train")
        return UserError(
            f"{self.folder.path} cannot go on to {format_count(self.epochs, 'epoch')}: {reason}. "
            f"From its best weights, {rest} more in a new run:\n"
            f"{format_command(*words)}"
        )
