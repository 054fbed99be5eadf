"""Checks the number of processes that train together."""

import lightning as L
from lightning.pytorch.callbacks import Callback

from fcn_lab.errors import UserError


class WorldSize(Callback):
    """Refuses to train on fewer processes than were asked for."""

    def __init__(self, processes: int) -> None:
        self.processes = processes

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Compares the number of processes with the one expected.

        Raises:
            UserError: the two numbers differ.
        """
        if trainer.world_size != self.processes:
            raise UserError(
                f"trainer.devices x trainer.num_nodes = {self.processes}, but "
                f"{trainer.world_size} processes were started.\n"
                "Start as many as these say, with torchrun on each node"
            )
