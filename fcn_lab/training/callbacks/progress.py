"""What a run says while it trains: a bar in a terminal, a line an epoch anywhere else."""

import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme
from rich import get_console

from fcn_lab.training.callbacks.checkpoints import MONITOR
from fcn_lab.training.callbacks.clock import Clock

REFRESH_SECONDS = 0.5
COLOUR = "#2a9d8f"


def progress(clock: Clock) -> Callback:
    """The one that suits where the output goes."""
    return Bar(clock) if get_console().is_terminal else Lines(clock)


class Bar(RichProgressBar):
    """Epoch, batches and time, with loss, mean IU and images per second behind them."""

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
        """What to show; a loss is fetched from the device twice a second and not at every batch."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + REFRESH_SECONDS
            self._shown = dict(figures(trainer, self.clock))
        return self._shown


class Lines(Callback):
    """One line an epoch."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            shown = "  ".join(
                f"{name} {value}" for name, value in figures(trainer, self.clock).items()
            )
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            print(f"{epoch}  {shown}  {self.clock.seconds:.0f} s", flush=True)


def figures(trainer: L.Trainer, clock: Clock) -> dict[str, str]:
    """Loss of the epoch so far, mean IU of the last validation, images per second."""
    known: dict[str, Any] = trainer.callback_metrics
    named = {"loss": known.get("train/loss"), "mean IU": known.get(MONITOR)}
    shown = {name: f"{float(value):.3f}" for name, value in named.items() if value is not None}
    return {**shown, "images/s": f"{clock.images_per_second:.1f}"}
