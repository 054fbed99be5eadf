"""Writes the prediction of every frame of the scored split into an archive for the report."""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.types import STEP_OUTPUT
from PIL import Image
from torch import Tensor

from fcn_lab.data.pictures.parts import show_colours
from fcn_lab.errors import Omissions, WriteFailure, guard_writing
from fcn_lab.files import create_draft_path
from fcn_lab.pixels import VOID_COLOUR, Colour, Pixels
from fcn_lab.rendering.embedding import encode_picture
from fcn_lab.runs.records import PICTURE_LIMIT, PREDICTIONS_LIMIT
from fcn_lab.runs.run import RunFolder
from fcn_lab.text.escaping import zip_text
from fcn_lab.text.terminal import format_count, print_text
from fcn_lab.training.module import Batch

# low, since the pictures are only looked at
JPEG_QUALITY = 75
# the most bytes of an entry besides its content: two headers, each with its name
ENTRY_BYTES = 1024


class Archive:
    """A zip file that gets its name when it is complete; after a failed write it takes no more.

    Args:
        path: the name that the file gets.
        omissions: collects the failed writes.
        limit: the most bytes of the file; what would go beyond it is left out.
    """

    def __init__(self, path: Path, omissions: Omissions, limit: int = PREDICTIONS_LIMIT) -> None:
        self.path, self.omissions = path, omissions
        self._bytes_left, self._left_out = limit, 0
        self._draft = create_draft_path(path)
        self._file: zipfile.ZipFile | None = None
        with self._note_refusal():
            self._file = zipfile.ZipFile(self._draft, "w")

    def add(self, frame: Mapping[str, bytes]) -> None:
        """Appends the files of a frame, all or none; being compressed already, they are stored."""
        sizes = [len(content) for content in frame.values()]
        size = sum(sizes) + ENTRY_BYTES * len(sizes)
        if size > self._bytes_left or max(sizes) > PICTURE_LIMIT:
            self._left_out += 1
            return
        if self._file is not None:
            self._bytes_left -= size
            with self._note_refusal():
                for name, content in frame.items():
                    self._file.writestr(zip_text(name), content)

    def publish(self) -> None:
        """Closes the file, gives it its name, and says how many frames are not in it."""
        if self._file is not None:
            with self._note_refusal():
                self._file.close()
                self._draft.replace(self.path)
        if self._left_out:
            print_text(
                f"{self.path} is as large as it may be: {format_count(self._left_out, 'frame')} "
                "did not fit, which a report does not show; the scores are complete"
            )

    def discard(self) -> None:
        """Closes and removes the unfinished file."""
        file, self._file = self._file, None
        with suppress(OSError):
            if file is not None:
                file.close()
        with suppress(OSError):
            self._draft.unlink(missing_ok=True)

    @contextmanager
    def _note_refusal(self) -> Iterator[None]:
        with self.omissions.note():
            try:
                with guard_writing(self.path):
                    yield
            except WriteFailure:
                self.discard()
                raise


class Predictions(Callback):
    """Writes predictions.zip: ``NAME.jpg``, ``NAME.truth.png`` and ``NAME.png`` of every frame.

    The PNGs hold class numbers, 255 is void, and their palette the classes' colours. Each rank
    writes the frames it scores into a file of its own.

    Args:
        folder: the run's folder.
        palette: the colours of the K classes.
        split: the split whose predictions are kept; the validation loop scores val, the test loop
            any other split.
        omissions: collects what could not be written; scoring goes on.
    """

    def __init__(
        self, folder: RunFolder, palette: Sequence[Colour], split: str, omissions: Omissions
    ) -> None:
        self.folder, self.split, self.omissions = folder, split, omissions
        # all 256 entries: a PNG with fewer has no place for void
        colours = [*palette, *[VOID_COLOUR] * (256 - len(palette))]
        self.palette = [int(channel) for colour in colours for channel in colour]
        self._file: Archive | None = None

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._open(trainer, self.split == "val")

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._open(trainer, self.split != "val")

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._file is None:
            return
        loader = trainer.val_dataloaders if self.split == "val" else trainer.test_dataloaders
        assert loader is not None
        assert isinstance(outputs, Tensor)  # the prediction, (N,H,W)
        names = loader.dataset.frames.names
        parts = (batch["image"], batch["label"], outputs)
        pixels = (part.cpu().numpy().astype(np.uint8) for part in parts)
        for index, image, truth, guess in zip(batch["index"].tolist(), *pixels, strict=True):
            name = names[index]
            picture = Image.fromarray(show_colours(image.transpose(1, 2, 0)))
            self._file.add(
                {
                    f"{name}.jpg": encode_picture(picture, "jpeg", quality=JPEG_QUALITY),
                    f"{name}.truth.png": self._encode_labels(truth),
                    f"{name}.png": self._encode_labels(guess),
                }
            )

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._file is not None:
            self._file.publish()

    # the same in both loops, since the file is open only in that of its split
    on_validation_batch_end, on_validation_end = on_test_batch_end, on_test_end

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        if self._file is not None:
            self._file.discard()

    def _open(self, trainer: L.Trainer, is_wanted: bool) -> None:
        path = self.folder.predictions(trainer.global_rank)
        self._file = Archive(path, self.omissions) if is_wanted else None

    def _encode_labels(self, labels: Pixels) -> bytes:
        image = Image.fromarray(labels)
        image.putpalette(self.palette)
        return encode_picture(image, "png")
