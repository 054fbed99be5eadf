"""What the network said of every frame of the scored split, kept for the report."""

import io
import zipfile
from collections.abc import Sequence

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.types import STEP_OUTPUT
from PIL import Image
from torch import Tensor

from fcn_lab.module import Batch
from fcn_lab.panels import VOID_COLOUR, Colour, Pixels
from fcn_lab.runfolder import RunFolder

QUALITY = 75  # of the pictures, which are only looked at


class Predictions(Callback):
    """Writes predictions.zip: ``NAME.jpg``, ``NAME.truth.png`` and ``NAME.png`` of every frame.

    The PNGs hold class numbers, 255 is void, and their palette the classes' colours. Each rank
    writes the frames it scores into a file of its own.

    Args:
        folder: the run's.
        palette: K colours.
    """

    def __init__(self, folder: RunFolder, palette: Sequence[Colour]) -> None:
        self.folder = folder
        # all 256 entries: a PNG with fewer has no place for void
        colours = [*palette, *[VOID_COLOUR] * (256 - len(palette))]
        self.palette = [int(channel) for colour in colours for channel in colour]
        self._file: zipfile.ZipFile | None = None

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._file = zipfile.ZipFile(self.folder.predictions(trainer.global_rank), "w")

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        assert isinstance(outputs, Tensor)  # the prediction, (N,H,W)
        assert self._file is not None
        frames = trainer.test_dataloaders.dataset.frames  # type: ignore[union-attr]
        shown = (_pixels(part) for part in (batch["image"], batch["label"], outputs))
        for index, image, truth, guess in zip(batch["index"].tolist(), *shown, strict=True):
            name = frames.names[index]
            self._file.writestr(f"{name}.jpg", _picture(image.transpose(1, 2, 0)))
            self._file.writestr(f"{name}.truth.png", self._labels(truth))
            self._file.writestr(f"{name}.png", self._labels(guess))

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._close()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _labels(self, labels: Pixels) -> bytes:
        image, file = Image.fromarray(labels), io.BytesIO()
        image.putpalette(self.palette)
        image.save(file, "PNG")
        return file.getvalue()


def _pixels(batch: Tensor) -> Pixels:
    return batch.cpu().numpy().astype(np.uint8)


def _picture(image: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
