"""Loss, learning rate and speed by step, between the rows of the epochs."""

import time

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor

from fcn_lab.training.module import Batch
from fcn_lab.training.ranks import is_first_rank


class StepLog(Callback):
    """Gives the loggers the loss, the rate and the images a second of every n-th step.

    The loss is that of this one step on the first rank. A mean over the steps since the last record
    would change where a run was stopped and resumed in between. The loss is read from the device at
    these steps only, so that the device does not wait at the others.

    Args:
        interval: n, counted from the start of the run.
    """

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self._rate, self._images, self._start = 0.0, 0, time.monotonic()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # counted anew, since the time before went into a validation
        self._images, self._start = 0, time.monotonic()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        # read here, since at the step's end the schedule has already changed it
        self._rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        self._images += len(batch["image"]) * trainer.world_size
        step = trainer.global_step
        if step % self.interval or not trainer.loggers or not is_first_rank():
            return
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        assert isinstance(loss, Tensor)
        row = {"step/loss": float(loss), "step/lr": self._rate}
        # read after the loss, which is known when the device has finished
        time_now = time.monotonic()
        row["step/images_per_second"] = round(self._images / max(time_now - self._start, 1e-9), 2)
        self._images, self._start = 0, time_now
        for logger in trainer.loggers:
            logger.log_metrics(row, step)
