"""The drawn scenes are hard enough to tell skips apart."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from fcn_lab.data.synthetic import Synthetic
from fcn_lab.encoders import TinyEncoder
from fcn_lab.metrics.confusion import confusion_matrices
from fcn_lab.metrics.scores import compute_scores
from fcn_lab.networks.fcn import FCN
from fcn_lab.pixels import VOID
from fcn_lab.upsampling import Bilinear

pytestmark = [pytest.mark.slow, pytest.mark.long]
EPOCHS, BATCH, SEEDS = 10, 8, (0, 1)


def tensors(source: Synthetic, split: str) -> tuple[Tensor, Tensor]:
    frames = source.frames(split)
    images = torch.from_numpy(frames.images.copy()).movedim(-1, 1).float() / 255
    return images, torch.from_numpy(frames.labels.copy()).long()


def trained(stride: int, seed: int, images: Tensor, labels: Tensor) -> nn.Module:
    torch.manual_seed(seed)
    encoder = TinyEncoder((16, 16, 32, 64, 64), (1, 1, 1, 1), 64, 0.0)
    net = FCN(encoder, Bilinear, 11, stride)
    optimizer = torch.optim.AdamW(net.parameters(), 4e-3)
    steps = EPOCHS * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps)
    for _ in range(steps):
        chosen = torch.randperm(len(images))[:BATCH]
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(images[chosen]), labels[chosen], ignore_index=VOID)
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval()


def mean_iou(net: nn.Module, images: Tensor, labels: Tensor, classes: tuple[str, ...]) -> float:
    with torch.no_grad():
        prediction = net(images).max(1).indices
    return compute_scores(confusion_matrices(prediction, labels, 11).sum(0), classes)["mean_iou"]


def test_fcn8s_beats_fcn32s_on_the_drawn_streets_with_every_seed() -> None:
    source = Synthetic(train=96, val=4, test=32)
    train, test = tensors(source, "train"), tensors(source, "test")
    score = partial(mean_iou, images=test[0], labels=test[1], classes=source.classes)
    margins = [score(trained(8, seed, *train)) - score(trained(32, seed, *train)) for seed in SEEDS]
    assert min(margins) > 0.02, margins
