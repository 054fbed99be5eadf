"""Time spent over all resumes, and the speed of the running epoch."""

import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from fcn_lab.training.module import Batch


class Clock(Callback):
    """Counts seconds since it was created, in addition to those of earlier attempts."""

    def __init__(self, seconds_before: float = 0.0) -> None:
        self._seconds_before = seconds_before
        self._start = time.monotonic()
        self._begin()

    @property
    def seconds(self) -> float:
        """Returns the wall time of the run, resumes included, in seconds, to the tenth."""
        return round(self._seconds_before + time.monotonic() - self._start, 1)

    @property
    def images_per_second(self) -> float:
        """Returns the training speed over all ranks in this epoch so far, without validation."""
        return self._images / max(self._batch_end - self._epoch_start, 1e-9)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._begin()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._begin()

    def _begin(self) -> None:
        self._epoch_start = self._batch_end = time.monotonic()
        self._images = 0

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        self._images += len(batch["image"]) * trainer.world_size
        self._batch_end = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._seconds_before = state_dict["seconds"]
