"""Writes panels of some images of a split after every scoring of it."""

from collections.abc import Sequence
from contextlib import nullcontext

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor
from torch.utils.data import DataLoader

from fcn_lab.data.pictures.parts import show_colours
from fcn_lab.errors import Omissions
from fcn_lab.files import make_folder, shorten_name, write_buffer
from fcn_lab.rendering.pictures import Picture, draw_panel
from fcn_lab.runs.run import RunFolder
from fcn_lab.training.loggers.base import RunLogger
from fcn_lab.training.module import Batch
from fcn_lab.training.ranks import is_first_rank


class Pictures(Callback):
    """Writes panels/<split>_<name>.png and hands the pictures to the loggers.

    Args:
        folder: the run's folder.
        classes: the names of the K classes.
        palette: the colours of the K classes.
        test_split: the split that the test loader serves.
        count: panels a split, spread evenly over the images that the first rank scores.
        loggers: the run's, which get the pictures.
        omissions: collects what could not be written; None makes that an error.
        step: the step that the scored weights are from; None for those that are trained.
    """

    def __init__(
        self,
        folder: RunFolder,
        classes: Sequence[str],
        palette: Sequence[tuple[int, int, int]],
        test_split: str = "test",
        count: int = 4,
        loggers: Sequence[RunLogger] = (),
        omissions: Omissions | None = None,
        step: int | None = None,
    ) -> None:
        self.folder, self.classes, self.palette = folder, classes, palette
        self.test_split, self.count = test_split, count
        self.step, self.loggers = step, loggers
        self._note = omissions.note if omissions else nullcontext
        self._pictures: list[Picture] = []

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._collect(trainer.val_dataloaders, outputs, batch, batch_idx)

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._collect(trainer.test_dataloaders, outputs, batch, batch_idx)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._show(trainer, "val")

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._show(trainer, self.test_split)

    def _collect(
        self, loader: "DataLoader[Batch] | None", outputs: STEP_OUTPUT, batch: Batch, batch_idx: int
    ) -> None:
        assert loader is not None
        assert isinstance(outputs, Tensor)  # the prediction, (N,H,W)
        if batch_idx not in spread_indices(len(loader), self.count):
            return
        image, truth, guess = (
            t[0].cpu().numpy().astype(np.uint8) for t in (batch["image"], batch["label"], outputs)
        )
        name = loader.dataset.frames.names[int(batch["index"][0])]  # type: ignore[attr-defined]
        self._pictures.append(Picture(name, show_colours(image.transpose(1, 2, 0)), truth, guess))

    def _show(self, trainer: L.Trainer, split: str) -> None:
        pictures, self._pictures = self._pictures, []
        if not is_first_rank():
            return
        with self._note():
            make_folder(self.folder.panels)
            for picture in pictures:
                name = f"{shorten_name(f'{split}_{picture.name}')}.png"
                with write_buffer(self.folder.panels / name) as file:
                    draw_panel(picture, self.classes, self.palette).save(file, "PNG")
        step = trainer.global_step if self.step is None else self.step
        for logger in self.loggers:
            with self._note():
                logger.show(split, pictures, step)


def spread_indices(length: int, count: int) -> set[int]:
    """Returns at most `count` of the indices 0…length−1, spread evenly."""
    return (
        {(2 * i + 1) * length // (2 * count) for i in range(count)}
        if length > count
        else set(range(length))
    )
