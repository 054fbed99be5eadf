"""What the network said of every frame of the scored split, kept for the report."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.types import STEP_OUTPUT
from PIL import Image
from torch import Tensor

from fcn_lab.errors import NotWritten, Omissions, guard_writing
from fcn_lab.escaping import zip_text
from fcn_lab.files import draft_beside
from fcn_lab.rendering.pictures import VOID_COLOUR, Colour, Pixels
from fcn_lab.runs.run import RunFolder
from fcn_lab.training.module import Batch

QUALITY = 75  # of the pictures, which are only looked at


class Archive:
    """A zip file that gets its name when it is whole, and takes nothing more once it cannot.

    Args:
        path: its place.
        omissions: takes note of what went wrong.
    """

    def __init__(self, path: Path, omissions: Omissions) -> None:
        self.path, self.omissions = path, omissions
        self._draft = draft_beside(path)
        self._file: zipfile.ZipFile | None = None
        with self._noted():
            self._file = zipfile.ZipFile(self._draft, "w")

    def add(self, name: str, content: bytes) -> None:
        """Appends a file; pictures are packed already and are stored as they are."""
        if self._file is not None:
            with self._noted():
                self._file.writestr(zip_text(name), content)

    def publish(self) -> None:
        """Closes it and gives it its name."""
        if self._file is not None:
            with self._noted():
                self._file.close()
                self._draft.replace(self.path)

    def drop(self) -> None:
        """Removes it."""
        file, self._file = self._file, None
        with suppress(OSError):
            if file is not None:
                file.close()
        with suppress(OSError):
            self._draft.unlink(missing_ok=True)

    @contextmanager
    def _noted(self) -> Iterator[None]:
        with self.omissions.note():
            try:
                with guard_writing(self.path):
                    yield
            except NotWritten:
                self.drop()
                raise


class Predictions(Callback):
    """Writes predictions.zip: ``NAME.jpg``, ``NAME.truth.png`` and ``NAME.png`` of every frame.

    The PNGs hold class numbers, 255 is void, and their palette the classes' colours. Each rank
    writes the frames it scores into a file of its own.

    Args:
        folder: the run's.
        palette: K colours.
        omissions: takes note where the file cannot be written; scoring goes on.
    """

    def __init__(self, folder: RunFolder, palette: Sequence[Colour], omissions: Omissions) -> None:
        self.folder, self.omissions = folder, omissions
        # all 256 entries: a PNG with fewer has no place for void
        colours = [*palette, *[VOID_COLOUR] * (256 - len(palette))]
        self.palette = [int(channel) for colour in colours for channel in colour]
        self._file: Archive | None = None

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._file = Archive(self.folder.predictions(trainer.global_rank), self.omissions)

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
            self._file.add(f"{name}.jpg", _picture(image.transpose(1, 2, 0)))
            self._file.add(f"{name}.truth.png", self._labels(truth))
            self._file.add(f"{name}.png", self._labels(guess))

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert self._file is not None
        self._file.publish()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        if self._file is not None:
            self._file.drop()

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
