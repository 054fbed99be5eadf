"""The progress of a training: a bar in a terminal, and a line an epoch there and anywhere else."""

import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import (
    BatchesProcessedColumn,
    CustomBarColumn,
    CustomTimeColumn,
    RichProgressBarTheme,
)
from rich import get_console
from rich.progress import TextColumn

from fcn_lab.runs.names import MONITOR
from fcn_lab.training.callbacks.clock import Clock
from fcn_lab.training.ranks import is_first_rank

REFRESH_SECONDS = 0.5
COLOUR = "#2a9d8f"
GAP = "  "
BAR_WIDTH = 12
# characters of "Epoch 100/100", of "0:00:17 • 0:00:09", and of the spaces between five columns
DESCRIPTION_WIDTH, TIME_WIDTH, SPACES = 13, 17, 5


def create_progress(clock: Clock) -> Callback:
    """Returns a bar for a terminal, and lines for a file or a pipe."""
    return EpochBar(clock) if get_console().is_terminal else EpochLines(clock)


class EpochBar(RichProgressBar):
    """A bar with epoch, batches, time and as many figures as the line has room for."""

    def __init__(self, clock: Clock) -> None:
        theme = RichProgressBarTheme(
            progress_bar=COLOUR,
            progress_bar_finished=COLOUR,
            progress_bar_pulse=COLOUR,
            metrics="bold",
            metrics_text_delimiter=GAP,
        )
        super().__init__(refresh_rate=4, theme=theme)
        self.clock = clock
        self._figures: dict[str, int | str | float | dict[str, float]] = {}
        self._next_time = 0.0

    def configure_columns(self, trainer: L.Trainer) -> list[Any]:
        """Returns the columns of the bar, in a narrow terminal without bar and time."""
        width = get_console().width
        columns: list[Any] = [TextColumn("{task.description}", markup=False)]
        if width >= 2 * DESCRIPTION_WIDTH + BAR_WIDTH:
            columns.append(CustomBarColumn(BAR_WIDTH, finished_style=COLOUR, complete_style=COLOUR))
        columns.append(BatchesProcessedColumn(style=""))
        if width >= 2 * DESCRIPTION_WIDTH + BAR_WIDTH + TIME_WIDTH:
            columns.append(CustomTimeColumn(style="dim"))
        return columns

    def get_metrics(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Returns what to show; the loss is fetched from the device twice a second at most."""
        if time.monotonic() >= self._next_time:
            self._next_time = time.monotonic() + REFRESH_SECONDS
            batches = 2 * len(str(trainer.num_training_batches)) + 1
            width = DESCRIPTION_WIDTH + BAR_WIDTH + batches + TIME_WIDTH + SPACES
            figures = collect_figures(trainer, self.clock)
            self._figures = dict(fit_figures(figures, get_console().width - width))
        return self._figures

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        if self.progress is not None and is_first_rank():
            line = describe_epoch(trainer, self.clock, get_console().width)
            self.progress.console.print(line, highlight=False, markup=False)

    def _get_train_description(self, current_epoch: int) -> str:
        """Returns the epoch as people count it; Lightning counts from 0."""
        return f"Epoch {current_epoch + 1}/{self.trainer.max_epochs}"


class EpochLines(Callback):
    """Prints one line at the end of each epoch."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if is_first_rank():
            print(describe_epoch(trainer, self.clock), flush=True)


def describe_epoch(trainer: L.Trainer, clock: Clock, width: int | None = None) -> str:
    """Returns the line that an epoch leaves, with as many figures as fit into `width`."""
    epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
    figures = {**collect_figures(trainer, clock), "": f"{clock.seconds:.0f} s"}
    if width is not None:
        figures = fit_figures(figures, width - len(epoch) - len(GAP), " ")
    return GAP.join([epoch, *(f"{name} {value}".strip() for name, value in figures.items())])


def fit_figures(figures: dict[str, str], width: int, colon: str = ": ") -> dict[str, str]:
    """Returns the first of the figures that one line of `width` characters holds."""
    line_figures: dict[str, str] = {}
    for name, value in figures.items():
        width -= len(name) + len(colon) + len(value)
        if width < 0:
            break
        line_figures[name] = value
        width -= len(GAP)
    return line_figures


def collect_figures(trainer: L.Trainer, clock: Clock) -> dict[str, str]:
    """Returns the epoch's loss so far, the last validation's mean IoU, and images per second."""
    metrics: dict[str, Any] = trainer.callback_metrics
    values = {"loss": metrics.get("train/loss"), "mean IoU": metrics.get(MONITOR)}
    figures = {name: f"{float(value):.3f}" for name, value in values.items() if value is not None}
    return {**figures, "images/s": f"{clock.images_per_second:.1f}"}
