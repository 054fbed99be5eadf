"""What a training says of itself before its first step."""

from collections.abc import Sized
from typing import cast

from fcn_lab.datamodule import CamVidDataModule
from fcn_lab.losses import CrossEntropy, Loss
from fcn_lab.metrics import VOID
from fcn_lab.optim import Optim

LOOKED_AT = 16  # training images, augmented, whose scored pixels are counted


def terms(loss: Loss, optim: Optim, data: CamVidDataModule) -> list[str]:
    """The recipe in the terms of others, where it has any: plain cross entropy under SGD."""
    if not isinstance(loss, CrossEntropy) or loss.balance is not None:
        return []
    summed = loss.reduction == "sum"
    descent = optim.descent(data.batch_size, scored_pixels(data), summed)
    if descent is not None:
        return descent.describe()
    rate = (
        "optimisation: the optimiser divides by the gradient's size, so the rate of a summed loss"
    )
    return [f"{rate} is that of its mean"] if summed else []


def scored_pixels(data: CamVidDataModule) -> float:
    """Of a training image as it is trained on, cropped and without void; the mean of a few."""
    dataset = data.train_dataloader().dataset
    indices = range(min(LOOKED_AT, len(cast("Sized", dataset))))
    found = [int((dataset[(0, index)]["label"] != VOID).sum()) for index in indices]
    return sum(found) / len(found)
