"""The number of processes that train together."""

import lightning as L
from lightning.pytorch.callbacks import Callback

from fcn_lab.errors import UserError


class WorldSize(Callback):
    """Refuses to train on fewer processes than were asked for."""

    def __init__(self, expected: int) -> None:
        self.expected = expected

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Compares.

        Raises:
            UserError: where they differ.
        """
        if trainer.world_size != self.expected:
            raise UserError(
                f"trainer.devices x trainer.num_nodes = {self.expected}, but "
                f"{trainer.world_size} processes were started: under Slurm ask for as many tasks "
                "(ntasks-per-node = trainer.devices)"
            )


def warmed_average(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    """Exponential average whose memory grows with the steps n taken: min(decay, (1 + n)/(10 + n)).

    With the full decay from the first step on, the random start would weigh in for thousands of steps.
    """

    def average(means: list[Tensor], current: list[Tensor], averaged: Tensor | int) -> None:
        steps = int(averaged)
        update = get_ema_multi_avg_fn(min(decay, (1 + steps) / (10 + steps)))  # type: ignore[no-untyped-call]
        update(means, current, averaged)

    return average
