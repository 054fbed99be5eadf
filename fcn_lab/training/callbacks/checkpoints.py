"""The two checkpoints of a run, and the end of a run that no longer improves."""

import io
import re
import traceback
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from fcn_lab.errors import UserError, first_line
from fcn_lab.runs.digests import write_listed
from fcn_lab.runs.names import MONITOR
from fcn_lab.runs.run import RunFolder
from fcn_lab.text.commands import format_command

# what Lightning says where DDP waits for the gradient of a parameter in vain
UNUSED_PARAMETERS = "parameters that were not used in producing the loss"
# settings of an optimiser's groups that no step changes
SETTINGS = ("initial_lr", "weight_decay", "momentum", "betas")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all; a kill or a full disk leaves the old one.

    Lightning's own class first writes to the folder of temporary files, which may be full or on
    another disk.
    """

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any | None = None,  # noqa: ANN401
    ) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_listed(Path(path), buffer.getbuffer())


class BestAndLast(Checkpoint):
    """Writes last.ckpt after every epoch, best.ckpt after a validation better than all before.

    Lightning's ModelCheckpoint and EarlyStopping need three instances for this, number files they
    find, forget the best score of a folder that was moved, and train one epoch more when a run is
    resumed that had stopped early.

    Args:
        folder: the run's folder.
        patience: validations in a row without a better score before the end; None never ends.
    """

    def __init__(self, folder: RunFolder, patience: int | None = None) -> None:
        self.folder, self.patience = folder, patience
        self.best_score, self.epochs_waited = float("-inf"), 0
        self._has_score = False
        self._settings: list[dict[str, Any]] = []

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        # without this entry Lightning would begin at epoch 0 again, with trained weights
        if "epoch_progress" not in checkpoint["loops"]["fit_loop"]:
            raise KeyError("epoch_progress")

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # a resumed run may have stopped early already
        self._check_patience(trainer)
        # kept here as config.yaml states them; the checkpoint's settings come next
        self._settings = [dict(group) for group in trainer.optimizers[0].param_groups]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        groups = trainer.optimizers[0].param_groups
        for first, second in zip(self._settings, groups, strict=True):
            for name in (*(first.keys() - second.keys()), *SETTINGS):
                if first.get(name) != second.get(name):
                    raise _refuse(self.folder, f"{name} {second.get(name)}, not {first.get(name)}")

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._has_score = True

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        is_best = False
        if self._has_score:
            score = float(trainer.callback_metrics[MONITOR])
            is_best = score > self.best_score
            if is_best:
                self.best_score = score
            self.epochs_waited = 0 if is_best else self.epochs_waited + 1
            self._has_score = False
        self._check_patience(trainer)
        if is_best:
            self.save(trainer, self.folder.best_checkpoint)
        self.save(trainer, self.folder.last_checkpoint)

    def _check_patience(self, trainer: L.Trainer) -> None:
        if self.patience is not None and self.epochs_waited >= self.patience:
            trainer.should_stop = True

    def save(self, trainer: L.Trainer, path: Path) -> None:
        """Writes a checkpoint; all ranks take part, and wait until it is in place."""
        trainer.save_checkpoint(path)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best_score, "waited": self.epochs_waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_score, self.epochs_waited = state_dict["best"], state_dict["waited"]


def fit_from_last(
    trainer: L.Trainer, module: L.LightningModule, data: L.LightningDataModule, folder: RunFolder
) -> None:
    """Trains, from the run's last checkpoint where there is one.

    Raises:
        UserError: that checkpoint is of another network or training, or ranks that wait for the
            gradient of every parameter wait in vain.
    """
    last = folder.last_checkpoint if folder.last_checkpoint.exists() else None
    try:
        trainer.fit(module, data, ckpt_path=last, weights_only=True)
    except (UserError, OSError):
        raise
    except Exception as error:
        if UNUSED_PARAMETERS in str(error):
            raise UserError(
                "no score depends on some of the network's parameters, for whose gradients each "
                "process waits.\n"
                "Type trainer.strategy=ddp_find_unused_parameters_true"
            ) from error
        if last is None or not _is_restoring(error):
            raise
        raise _refuse(folder, f"{type(error).__name__}: {first_line(error)[:200]}") from error


def _refuse(folder: RunFolder, reason: str) -> UserError:
    command = format_command(f"again={folder.path}")
    return UserError(
        f"{folder.last_checkpoint} is of another network or training than config.yaml beside it "
        f"describes ({reason}). To train that from the start:\n{command}"
    )


def _is_restoring(error: Exception) -> bool:
    """Returns whether it was raised while Lightning read a checkpoint."""
    calls = traceback.extract_tb(error.__traceback__)
    names = [call.name for call in calls if call.filename.endswith("checkpoint_connector.py")]
    return any(re.match("_?restore|resume", name) for name in names)
