"""Prepares a training before its first step: its folder, checks, and lines on recipe and data."""

from collections.abc import Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import nn
from torch.func import functional_call

from fcn_lab.errors import UserError
from fcn_lab.files import clear_drafts, make_folder
from fcn_lab.geometry.meta import keep_modes, move_state_to_meta
from fcn_lab.geometry.sizes import count_channels
from fcn_lab.networks.weights.warm_start import transplant
from fcn_lab.pixels import VOID
from fcn_lab.runs.checkpoint import load_best_checkpoint, select_network_state
from fcn_lab.runs.names import METRICS
from fcn_lab.runs.run import RunFolder
from fcn_lab.text.commands import format_command
from fcn_lab.text.terminal import format_count
from fcn_lab.training.datamodule import FrameDataModule
from fcn_lab.training.losses import CrossEntropy, Loss
from fcn_lab.training.optim import Optim

# the number of augmented training images whose non-void pixels are counted
SAMPLED_IMAGES = 16


@dataclass(frozen=True)
class EarlierStages:
    """The stages before a training, with which it is resumed and timed as one.

    Args:
        root: the folder that the user named.
        seconds: the time spent on the stages before.
        seed_shift: the seed of this stage less the seed that the run records.
    """

    root: Path
    seconds: float
    seed_shift: int = 0


def prepare_folder(folder: RunFolder, resume: bool) -> None:
    """Makes the folder ready for a training, and clears what killed attempts have left in it.

    Raises:
        UserError: it holds a finished run, one that is not to be resumed, or damaged files.
    """
    if folder.is_finished:
        raise UserError(f"{folder.path}: this run is finished, its scores are in {METRICS}")
    if folder.last_checkpoint.exists() and not resume:
        go_on = format_command(f"resume={folder.path}")
        raise UserError(
            f"{folder.path} holds a run already. hydra.run.dir= chooses another folder. "
            f"To go on with it:\n{go_on}"
        )
    folder.require_sound()
    make_folder(folder.last_checkpoint.parent)
    for folder_with_drafts in (folder.path, folder.last_checkpoint.parent, folder.panels):
        clear_drafts(folder_with_drafts, 0)
    # an attempt that never began may have left it
    if not resume:
        folder.env.unlink(missing_ok=True)


def describe_recipe(loss: Loss, optim: Optim, data: FrameDataModule, ranks: int) -> list[str]:
    """Returns lines on equivalents (`SGDRecipe`) of plain cross entropy under SGD; else none."""
    if not isinstance(loss, CrossEntropy) or loss.balance is not None:
        return []
    pixels = count_scored_pixels(data)
    descent = optim.to_sgd_recipe(data.batch_size * ranks, pixels, loss.is_sum)
    if descent is not None:
        # images that are void all over do not tell how a sum and a mean compare
        return descent.describe() if pixels else []
    rate = (
        "optimisation: the optimiser divides by the gradient's size, so the rate of a summed loss"
    )
    return [f"{rate} is that of its mean"] if loss.is_sum else []


def require_channels(net: nn.Module, data: FrameDataModule) -> None:
    """Refuses a network whose pictures have other channels than the data's.

    Raises:
        UserError: the numbers differ; the message has both.
    """
    inputs, channels = count_channels(net), data.source.frames("train").images[0].shape[-1]
    if inputs != channels:
        raise UserError(
            f"encoder.in_channels={inputs}: the pictures of these data have "
            f"{format_count(channels, 'channel')}.\nType encoder.in_channels={channels}, or the "
            "files of the others in data.images=[…]"
        )


def count_scored_pixels(data: FrameDataModule) -> float:
    """Returns the mean count of non-void pixels in a few training images, augmented and cropped."""
    dataset = data.train_dataloader().dataset
    indices = range(min(SAMPLED_IMAGES, len(cast("Sized", dataset))))
    counts = [int((dataset[(0, index)]["label"] != VOID).sum()) for index in indices]
    return sum(counts) / len(counts)


def require_batch_statistics(
    net: nn.Module, frozen_layers: Sequence[nn.Module], data: FrameDataModule
) -> None:
    """Refuses batches of one image where a batch normalisation would see a map of one pixel.

    Args:
        net: a network in training mode; it is neither changed nor run on data.
        frozen_layers: its normalisation layers that stay in evaluation mode.
        data: the data that it is trained on.

    Raises:
        UserError: a layer would normalise over a single value.
    """
    require_channels(net, data)
    if not data.has_single_batches:
        return
    dataset = data.train_dataloader().dataset
    sizes = data.source.frames("train").sizes
    number = min(range(len(sizes)), key=lambda index: sizes[index][0] * sizes[index][1])
    image = dataset[(0, number)]["image"]  # 3 h w, as it is trained on
    try:
        with keep_modes(net), torch.no_grad():
            net.train()
            for layer in frozen_layers:
                layer.eval()
            sample = torch.empty(1, *image.shape, device="meta")
            functional_call(net, move_state_to_meta(net), (sample,))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        finding, advice = "data.batch_size=1", "data.batch_size=2 or more"
        if data.batch_size > 1:
            finding = "there are batches of one frame, where no other is of its size"
            advice = "augment.crop=[ROWS,COLUMNS], which makes all of one size"
        raise UserError(
            f"{finding}: for {image.shape[1]}x{image.shape[2]} pixels, batch normalisation "
            "in this network meets maps of one pixel, and one value has no spread.\n"
            f"Type {advice}, or freeze=norm, which keeps the statistics there are"
        ) from error


def load_initial_weights(net: nn.Module, run: Path) -> list[str]:
    """Loads the best weights of an earlier run; returns lines on what fitted and what did not.

    Raises:
        UserError: the run has no weights, or none of them fits.
    """
    transfer = transplant(
        net, select_network_state(load_best_checkpoint(run, "init_from")["state_dict"])
    )
    if not transfer.copied_params:
        raise UserError(f"init_from={run}: nothing of its network fits this one, by name and shape")
    counts, *others = transfer.describe()
    return [f"starts from {run}: {counts}", *others]
