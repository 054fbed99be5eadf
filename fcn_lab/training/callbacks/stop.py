"""Ends a run at a signal, with everything on disk that a resume needs."""

from typing import Any

import lightning as L
import torch.distributed as dist
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from fcn_lab.signals import Stopped, StopRequest
from fcn_lab.training.callbacks.checkpoints import BestAndLast


class StopOnSignal(Checkpoint):
    """Raises `Stopped` for a noted signal, in the next place where a resume can go on.

    Inside an epoch that is behind a training batch, whose checkpoint is written first; behind an
    epoch's last batch and during its validation it is the end of the epoch; while scoring, with
    training complete, it is at once, with several ranks behind the split. A callback of the
    checkpoint kind, so that it runs behind those that average weights, write rows or save.
    """

    def __init__(self, request: StopRequest, checkpoints: BestAndLast | None = None) -> None:
        self.request, self.checkpoints = request, checkpoints

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.request.install()  # Lightning has just put its own in place

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.request.install()

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.request.install()

    def on_train_batch_end(self, trainer: L.Trainer, *rest: Any) -> None:  # noqa: ANN401  (the hook's many arguments)
        if not trainer.is_last_batch and (signum := self._agreed(trainer)):
            if self.checkpoints is not None:
                self.checkpoints.save(trainer, self.checkpoints.folder.last)
            raise Stopped(signum)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if signum := self._agreed(trainer):
            raise Stopped(signum)

    def on_validation_batch_end(self, trainer: L.Trainer, *rest: Any) -> None:  # noqa: ANN401
        self._scored(trainer)

    def on_test_batch_end(self, trainer: L.Trainer, *rest: Any) -> None:  # noqa: ANN401
        self._scored(trainer)

    def _scored(self, trainer: L.Trainer) -> None:
        # several ranks score different numbers of images and cannot ask each other here
        alone = trainer.world_size == 1 and trainer.state.fn != TrainerFn.FITTING
        if alone and self.request.signum is not None:
            raise Stopped(self.request.signum)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING and (signum := self._agreed(trainer)):
            raise Stopped(signum)

    def _agreed(self, trainer: L.Trainer) -> int | None:
        """The signal that any rank has noted: a scheduler may send it to one process alone."""
        if trainer.world_size == 1:
            return self.request.signum
        noted: list[int | None] = [None] * trainer.world_size
        dist.all_gather_object(noted, self.request.signum)
        return next((n for n in noted if n is not None), None)
