"""Keeps frozen normalisation layers in evaluation mode while everything else trains."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch.callbacks import Callback
from torch import nn


class FrozenLayers(Callback):
    """Puts the layers into evaluation mode before every batch, whatever has set the mode since."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self.layers = layers

    def on_train_batch_start(self, *hook: Any) -> None:  # noqa: ANN401  (the hook's many arguments)
        for layer in self.layers:
            layer.eval()
