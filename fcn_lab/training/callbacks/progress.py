"""The progress of a training: a bar in a terminal, a line an epoch anywhere else."""

import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme
from rich import get_console

from fcn_lab.runs.names import MONITOR
from fcn_lab.training.callbacks.clock import Clock

REFRESH_SECONDS = 0.5
COLOUR = "#2a9d8f"


def create_progress(clock: Clock) -> Callback:
    """Returns a bar for a terminal, and lines for a file or a pipe."""
    return EpochBar(clock) if get_console().is_terminal else EpochLines(clock)


class EpochBar(RichProgressBar):
    """A bar with epoch, batches and time, then loss, mean IoU and images per second."""

    def __init__(self, clock: Clock) -> None:
        theme = RichProgressBarTheme(
            progress_bar=COLOUR,
            progress_bar_finished=COLOUR,
            progress_bar_pulse=COLOUR,
            metrics="bold",
            metrics_text_delimiter="  ",
        )
        super().__init__(refresh_rate=4, theme=theme)
        self.clock = clock
        self._shown: dict[str, int | str | float | dict[str, float]] = {}
        self._next = 0.0

    def get_metrics(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Returns what to show; the loss is fetched from the device twice a second at most."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + REFRESH_SECONDS
            self._shown = dict(collect_figures(trainer, self.clock))
        return self._shown


class EpochLines(Callback):
    """Prints one line at the end of each epoch."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            shown = "  ".join(
                f"{name} {value}" for name, value in collect_figures(trainer, self.clock).items()
            )
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            print(f"{epoch}  {shown}  {self.clock.seconds:.0f} s", flush=True)


def collect_figures(trainer: L.Trainer, clock: Clock) -> dict[str, str]:
    """Returns loss of the epoch so far, mean IoU of the last validation, images per second."""
    known: dict[str, Any] = trainer.callback_metrics
    named = {"loss": known.get("train/loss"), "mean IoU": known.get(MONITOR)}
    shown = {name: f"{float(value):.3f}" for name, value in named.items() if value is not None}
    return {**shown, "images/s": f"{clock.images_per_second:.1f}"}
