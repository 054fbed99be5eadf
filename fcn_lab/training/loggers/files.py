"""Loggers that write files: CSV and TensorBoard."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from numpy.typing import NDArray

from fcn_lab.errors import UserError, guard_writing
from fcn_lab.rendering.pictures import Picture, draw_confusion, draw_panel
from fcn_lab.training.loggers.base import RunInfo, RunLogger


class CsvRunLogger(RunLogger, CSVLogger):
    """Writes csv/version_N/metrics.csv in the run's folder."""

    def save(self) -> None:
        with guard_writing(Path(self.log_dir)):
            super().save()


@dataclass(frozen=True)
class Csv:
    """Lightning's CSV logger; a resumed run writes the next version."""

    def __call__(self, run: RunInfo) -> RunLogger:
        """Returns the logger of one run."""
        return CsvRunLogger(run.folder, name="csv")


class TensorBoardRunLogger(RunLogger, TensorBoardLogger):
    """TensorBoard's event files, with the panels as images."""

    def __init__(self, run: RunInfo) -> None:
        super().__init__(run.folder, name="tensorboard", version="")
        self.run = run

    def show(self, split: str, pictures: Sequence[Picture], step: int) -> None:
        """Writes each panel as an image."""
        for picture in pictures:
            shown = np.asarray(draw_panel(picture, self.run.classes, self.run.palette))
            self.experiment.add_image(f"{split}/{picture.name}", shown, step, dataformats="HWC")

    def conclude(
        self, scores: Mapping[str, float], matrices: Mapping[str, NDArray[np.int64]]
    ) -> None:
        """Writes the confusion matrices as images and the scores as scalars."""
        for split, matrix in matrices.items():
            self.experiment.add_image(
                f"{split}/confusion",
                np.asarray(draw_confusion(matrix, self.run.classes)),
                0,
                dataformats="HWC",
            )
        for name, value in scores.items():
            self.experiment.add_scalar(f"final/{name}", value, 0)


@dataclass(frozen=True)
class TensorBoard:
    """Lightning's TensorBoard logger, with our hyperparameters.

    Raises:
        UserError: TensorBoard is not installed.
    """

    def __post_init__(self) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise UserError(
                "logger=tensorboard: TensorBoard is not installed, "
                "pip install 'fcn-lab[tensorboard]'"
            )

    def __call__(self, run: RunInfo) -> RunLogger:
        """Returns the logger of one run."""
        return TensorBoardRunLogger(run)
