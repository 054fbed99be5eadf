"""Prints in the first minute of a run why it will learn nothing, if that shows."""

from contextlib import ExitStack

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.types import STEP_OUTPUT
from rich import get_console
from torch import Tensor

from fcn_lab.training.diagnosis import WATCHED_STEPS, TrainingDiagnosis
from fcn_lab.training.module import Batch, SegmentationModule
from fcn_lab.training.ranks import is_first_rank


class VitalSigns(Callback):
    """Watches the first steps of a new run, prints what it finds, and does nothing after them.

    Compiled networks are not watched: hooks would compile them again.
    """

    def __init__(self) -> None:
        self.vitals: TrainingDiagnosis | None = None
        # what watches the running step; empty between two steps
        self._step = ExitStack()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, SegmentationModule)
        assert pl_module.optim is not None
        is_compiled = getattr(pl_module.net, "_compiled_call_impl", None) is not None
        if trainer.global_step == 0 and is_first_rank() and not is_compiled:
            steps = min(WATCHED_STEPS, int(trainer.estimated_stepping_batches))
            self.vitals = TrainingDiagnosis(
                pl_module.net, len(pl_module.classes), pl_module.optim.lr, steps
            )

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        if self.vitals is not None:
            self.vitals.check_labels(batch["label"])
            self._step.enter_context(self.vitals.watch_step())

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        if self.vitals is None:
            return
        self._step.close()
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        assert isinstance(loss, Tensor)
        for sign in self.vitals.find_signs(float(loss)):
            get_console().print(f"vital signs: {sign}", style="yellow", markup=False)
        if self.vitals.steps_done >= self.vitals.steps:
            self.vitals = None

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self._step.__exit__(type(exception), exception, exception.__traceback__)
