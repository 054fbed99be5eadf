"""Ends a run at a signal, with everything on disk that a resume needs."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from fcn_lab.signals import StoppedBySignal, StopRequest
from fcn_lab.training.callbacks.checkpoints import BestAndLast


class StopOnSignal(Checkpoint):
    """Raises `StoppedBySignal` after a signal, at the next point from which a resume can continue.

    Inside an epoch that point is after a training batch, and a checkpoint is written first. After
    an epoch's last batch and during its validation it is the end of the epoch. While a complete
    training is scored it is the next batch, or with several ranks the end of the split. This is a
    callback of the checkpoint kind, so that it runs after those that average weights, write rows or
    save.
    """

    def __init__(self, request: StopRequest, checkpoints: BestAndLast | None = None) -> None:
        self.request, self.checkpoints = request, checkpoints

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # installed again, since Lightning has just installed its own handler
        self.request.install()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.request.install()

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.request.install()

    def on_train_batch_end(self, trainer: L.Trainer, *rest: Any) -> None:  # noqa: ANN401  (the hook's many arguments)
        if not trainer.is_last_batch and (signum := self._agree_on_signal(trainer)):
            if self.checkpoints is not None:
                self.checkpoints.save(trainer, self.checkpoints.folder.last_checkpoint)
            raise StoppedBySignal(signum)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if signum := self._agree_on_signal(trainer):
            raise StoppedBySignal(signum)

    def on_validation_batch_end(self, trainer: L.Trainer, *rest: Any) -> None:  # noqa: ANN401
        self._stop_scoring(trainer)

    def on_test_batch_end(self, trainer: L.Trainer, *rest: Any) -> None:  # noqa: ANN401
        self._stop_scoring(trainer)

    def _stop_scoring(self, trainer: L.Trainer) -> None:
        # several ranks score different numbers of images and cannot ask each other here
        is_scoring_alone = trainer.world_size == 1 and trainer.state.fn != TrainerFn.FITTING
        if is_scoring_alone:
            self.request.obey()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING and (signum := self._agree_on_signal(trainer)):
            raise StoppedBySignal(signum)

    def _agree_on_signal(self, trainer: L.Trainer) -> int | None:
        """Returns the signal that any rank got: a scheduler may send it to one process alone."""
        if trainer.world_size == 1:
            return self.request.signum
        # a tensor, since gathering objects pickles them and waits for the device twice a step
        own_signum = torch.tensor(self.request.signum or 0, device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(own_signum, reduce_op="max")) or None
