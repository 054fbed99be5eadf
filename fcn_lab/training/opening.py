"""What a training says of itself before its first step."""

from collections.abc import Sequence, Sized
from pathlib import Path
from typing import cast

import torch
from torch import nn
from torch.func import functional_call

from fcn_lab.cost.macs import move_state_to_meta
from fcn_lab.data.balance import count_pixels, describe_gaps
from fcn_lab.errors import UserError
from fcn_lab.inference.predictor import load_best_checkpoint, select_network_state
from fcn_lab.metrics.confusion import VOID
from fcn_lab.networks.weights.warm_start import transplant
from fcn_lab.training.datamodule import CamVidDataModule
from fcn_lab.training.losses import CrossEntropy, Loss
from fcn_lab.training.optim import Optim

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


def scored_splits(data: CamVidDataModule) -> tuple[str, ...]:
    """What a training scores in the end: val, and the split chosen, as far as it is there.

    Raises:
        UserError: there is nothing to train on, or to choose by.
    """
    there = data.source.splits
    for split, use in (("train", "to learn from"), ("val", "to choose the best epoch by")):
        if split not in there:
            raise UserError(
                f"These data have no split {split}, {use}, only {' and '.join(there)}.\n"
                "Expected train and val at least, as in data.splits={train: 0.8, val: 0.2}"
            )
    return tuple(dict.fromkeys(split for split in ("val", data.split) if split in there))


def gaps(data: CamVidDataModule) -> list[str]:
    """What the data lack: a split to score, classes in train.

    Raises:
        UserError: train is all void.
    """
    lines = []
    scored = scored_splits(data)
    if data.split not in scored:
        lines.append(f"there is no split {data.split}: val alone is scored in the end")
    train = data.source.frames("train")
    counts, _ = count_pixels(train, data.num_classes)
    others = {split: data.source.frames(split) for split in scored}
    return [*lines, *describe_gaps(counts, data.classes, train.labels.size, others)]


def scored_pixels(data: CamVidDataModule) -> float:
    """Of a training image as it is trained on, cropped and without void; the mean of a few."""
    dataset = data.train_dataloader().dataset
    indices = range(min(LOOKED_AT, len(cast("Sized", dataset))))
    found = [int((dataset[(0, index)]["label"] != VOID).sum()) for index in indices]
    return sum(found) / len(found)


def require_spread(net: nn.Module, still: Sequence[nn.Module], data: CamVidDataModule) -> None:
    """Refuses a batch of one whose batch normalisation meets a map of one pixel.

    Args:
        net: in training mode; nothing of it is changed or computed.
        still: its normalisation layers that are held in evaluation.
        data: what it is trained on.

    Raises:
        UserError: a layer would normalise over a single value.
    """
    if data.batch_size > 1:
        return
    image = data.train_dataloader().dataset[(0, 0)]["image"]  # 3 h w, as it is trained on
    modes = {layer: layer.training for layer in net.modules()}
    net.train()
    for layer in still:
        layer.eval()
    try:
        with torch.no_grad():
            one = torch.empty(1, *image.shape, device="meta")
            functional_call(net, move_state_to_meta(net), (one,))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UserError(
            f"data.batch_size=1: for {image.shape[1]}x{image.shape[2]} pixels, batch normalisation "
            "in this network meets maps of one pixel, and one value has no spread.\n"
            "Type data.batch_size=2 or more, or freeze=norm, which keeps the statistics there are"
        ) from error
    finally:
        for layer, mode in modes.items():
            layer.training = mode


def warm(net: nn.Module, run: Path) -> list[str]:
    """Puts the best weights of an earlier run into the network, and tells what did not fit.

    Raises:
        UserError: the run has no weights, or none of them fits.
    """
    done = transplant(
        net, select_network_state(load_best_checkpoint(run, "init_from")["state_dict"])
    )
    if not done.taken_params:
        raise UserError(f"init_from={run}: nothing of its network fits this one, by name and shape")
    counts, *others = done.describe()
    return [f"starts from {run}: {counts}", *others]
