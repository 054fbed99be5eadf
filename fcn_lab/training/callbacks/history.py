"""history.csv and the loggers: one row an epoch, the same in all of them."""

from collections.abc import Sequence
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from fcn_lab.runs.run import RunFolder
from fcn_lab.runs.table import CsvFile
from fcn_lab.training.callbacks.clock import Clock
from fcn_lab.training.ranks import is_first_rank

SPLIT_SCORES = ("loss", "mean_iou", "pixel_accuracy", "mean_accuracy", "fw_iou")


class History(Callback):
    """Appends every epoch's scores to history.csv and hands them to the loggers.

    The row is written before the epoch's checkpoint. A run killed between the two writes it again,
    and rows that the checkpoint does not know are dropped at a resume. An epoch without validation
    leaves its val columns empty.
    """

    def __init__(self, folder: RunFolder, clock: Clock, classes: Sequence[str]) -> None:
        self.clock = clock
        scores = [f"val/{name}" for name in (*SPLIT_SCORES, *(f"iou/{c}" for c in classes))]
        times = ("epoch", "step", "seconds", "images_per_second")
        self.rows = CsvFile(folder.history, (*times, "train/lr", "train/loss", *scores))
        self._has_begun = self._has_scores = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if is_first_rank() and self.rows.path.exists():
            self.rows.keep(lambda row: int(row["epoch"]) < trainer.current_epoch)

    def on_train_batch_end(self, trainer: L.Trainer, *rest: Any) -> None:  # noqa: ANN401  (the hook's many arguments)
        if is_first_rank() and not self._has_begun:
            # a run exists from its first step on
            self.rows.begin()
        self._has_begun = True

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._has_scores = True

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        # without a validation the values of an earlier epoch are still there
        if not self._has_scores:
            values = {name: value for name, value in values.items() if not name.startswith("val/")}
        self._has_scores = False
        row = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "seconds": self.clock.seconds,
            "images_per_second": round(self.clock.images_per_second, 2),
            "train/lr": trainer.optimizers[0].param_groups[0]["lr"],
            **values,
        }
        if is_first_rank():
            for logger in trainer.loggers:
                logger.log_metrics(row, trainer.global_step)
                logger.save()
            self.rows.append(row)
