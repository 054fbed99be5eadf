"""A net, a data source and a training small enough to run many times."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fcn_lab.data.frames import Frames
from fcn_lab.pixels import Pixels
from fcn_lab.runs.checkpoint import load_best_checkpoint, load_state
from fcn_lab.tasks.train import Train
from fcn_lab.training.datamodule import FrameDataModule
from fcn_lab.training.loggers.base import Factory
from fcn_lab.training.losses import CrossEntropy
from fcn_lab.training.optim import Optim, Poly
from fcn_lab.training.settings import TrainerSettings

torch.set_num_threads(1)  # nets this small only wait for a second thread

WORDS = {"model": "fcn8s", "upsample": "bilinear", "encoder": "tiny"}
SIZES = {"train": 14, "val": 5, "test": 5}


class Squares:
    """Frames of two textures and a void border, drawn from the split's name."""

    def __init__(self) -> None:
        self.classes: tuple[str, ...] = ("Ground", "Square", "Unseen")
        self.palette: tuple[tuple[int, int, int], ...] = ((0, 128, 0), (200, 0, 0), (0, 0, 200))
        self.protocol = "squares3-24x32-void_ignored-own_split"
        self.splits: tuple[str, ...] = ("train", "val", "test")

    def frames(self, split: str) -> Frames:
        """`SIZES[split]` of them."""
        rng = np.random.default_rng(len(split) * 100 + ord(split[0]))
        count = SIZES[split]
        labels = np.zeros((count, 24, 32), np.uint8)
        for label in labels:
            top, left = rng.integers(2, 10, 2)
            label[top : top + 9, left : left + 14] = 1
        images = np.where(labels[..., None] == 1, 180, 70) + rng.integers(
            -40, 40, (count, 24, 32, 3)
        )
        labels[:, :1] = 255
        return Frames(images.astype(np.uint8), labels, tuple(f"{split}{i}" for i in range(count)))

    def describe(self) -> str:
        """One line."""
        return "squares"


DRAWN_FRAMES = Squares.frames


def void_frames(source: Squares, split: str) -> Frames:
    """The frames of `Squares`; in test, the labels are withheld."""
    frames = DRAWN_FRAMES(source, split)
    return replace(frames, labels=np.full_like(frames.labels, 255)) if split == "test" else frames


def speckle(image: Pixels, label: Pixels, seed: int) -> tuple[Pixels, Pixels]:
    """An augmentation that depends on its seed."""
    rng = np.random.default_rng(seed)
    noisy = image.astype(int) + rng.integers(-20, 20, image.shape)
    return noisy.clip(0, 255).astype(np.uint8), label


class Net(nn.Module):
    """Normalisation, dropout and a bias: everything that a resume could get wrong."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout2d(0.3),
            nn.Conv2d(8, num_classes, 1),
        )

    def forward(self, image: Tensor) -> Tensor:
        """(N,3,H,W) → (N,K,H,W)."""
        result: Tensor = self.body(image)
        return result


class Sided(nn.Module):
    """Left and right scores that average to class 1, and as probabilities to class 2."""

    def forward(self, image: Tensor) -> Tensor:
        """(N,3,H,W) → (N,3,H,W)."""
        half = torch.arange(image.shape[3]) < image.shape[3] // 2
        left, right = (
            torch.tensor(s).view(1, 3, 1, 1) for s in ((10.0, 9.0, 0.0), (0.0, 2.0, 9.0))
        )
        return torch.where(half, left, right).expand(len(image), 3, *image.shape[2:])


def make_train(
    training: Mapping[str, Any] | None = None,
    loggers: Mapping[str, Factory] | None = None,
    **fields: object,
) -> Train:
    """A whole training task of a few steps an epoch."""
    torch.manual_seed(0)
    sgd = Optim(
        lambda p, **kw: torch.optim.SGD(p, momentum=0.9, **kw),
        lr=0.1,
        schedule=Poly(0.1),
        weight_decay=1e-3,
    )
    parts: dict[str, Any] = {
        "net": Net(),
        "data": FrameDataModule(Squares(), speckle, batch_size=3, seed=1),
        "loss": CrossEntropy(),
        "optim": sgd,
        "training": TrainerSettings(**{"max_epochs": 3, "accelerator": "cpu", **(training or {})}),
        "words": WORDS,
        "loggers": loggers,
        "seed": 1,
    }
    return Train(**{**parts, **fields})


def load_weights(net: nn.Module, run: Path) -> nn.Module:
    """The network with the best weights of a run."""
    return load_state(net, load_best_checkpoint(run)["state_dict"], run)


def weights(path: Path) -> dict[str, Tensor]:
    """What a checkpoint keeps of the network."""
    state: dict[str, Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state
