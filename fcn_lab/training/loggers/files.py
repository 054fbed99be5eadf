"""Loggers that write files: CSV and TensorBoard."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from numpy.typing import NDArray

from fcn_lab.errors import UserError, guard_writing
from fcn_lab.rendering.pictures import Picture, draw_confusion, draw_panel
from fcn_lab.runs.keys import list_leaves
from fcn_lab.text.escaping import UNKNOWN_VALUE, markdown_table
from fcn_lab.text.terminal import format_percent
from fcn_lab.training.loggers.base import RunInfo, RunLogger, guard_library, list_class_scores


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
        self.hparams.update(list_settings(run.config))

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        with guard_library(self.run.folder):
            super().log_metrics(metrics, step)

    def save(self) -> None:
        with guard_library(self.run.folder):
            super().save()

    def show(self, split: str, pictures: Sequence[Picture], step: int) -> None:
        """Writes each panel as an image."""
        for picture in pictures:
            panel = np.asarray(draw_panel(picture, self.run.classes, self.run.palette))
            with guard_library(self.run.folder):
                self.experiment.add_image(f"{split}/{picture.name}", panel, step, dataformats="HWC")

    def conclude(
        self, scores: Mapping[str, float], matrices: Mapping[str, NDArray[np.int64]]
    ) -> None:
        """Writes each split's matrix as an image and its classes as a table, and the scores.

        The scores are scalars and the metrics of the hyperparameters' page.
        """
        with guard_library(self.run.folder):
            for split, matrix in matrices.items():
                table = tabulate_classes(list_class_scores(matrix, self.run.classes))
                self.experiment.add_text(f"final/{split}/classes", table, 0)
                panel = np.asarray(draw_confusion(matrix, self.run.classes))
                self.experiment.add_image(f"{split}/confusion", panel, 0, dataformats="HWC")
            finals = {f"final/{name}": value for name, value in scores.items()}
            self.log_hyperparams(dict(self.hparams), finals, 0)

    def close(self, status: int) -> None:
        """Writes what TensorBoard still holds in memory to the disk."""
        with guard_library(self.run.folder):
            self.experiment.close()


def list_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the word of each group, the plain values below it, and the seed, by dotted key.

    Args:
        config: the frozen configuration; copies of a value are left out.
    """
    settings: dict[str, Any] = {"seed": config["seed"]} if "seed" in config else {}
    for group, word in config.get("choices", {}).items():
        if word is not None and group != "task":
            settings[group] = word
            leaves = list_leaves(config.get(group, {}), group, config.get("links", {}))
            # a group without keys below it is its word alone
            settings |= {k: v for k, v in leaves if v is not None and k != group and "._" not in k}
    return settings


def tabulate_classes(rows: Sequence[tuple[str, float | None, float | None]]) -> str:
    """Returns a Markdown table of name, IoU and accuracy of each class, in per cent."""
    cells = [
        (name, *(format_percent(value) or UNKNOWN_VALUE for value in scores))
        for name, *scores in rows
    ]
    return markdown_table(("class", "IoU, %", "accuracy, %"), cells)


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
