"""The published nets score a made VOC as a reference does, at every image's own size."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from fcn_lab import create_model
from fcn_lab.errors import UserError
from fcn_lab.networks.fcn import FCN
from fcn_lab.networks.weights.published import export_published, load_published
from fcn_lab.tasks.evaluate import Evaluate
from fcn_lab.training.settings import TrainerSettings
from fcn_lab.training.sources import voc as voc_module
from support import voc
from support.published import reference
from support.thin import thin_out

WORDS = {"model": "fcn8s_caffe", "upsample": "frozen_bilinear", "encoder": "vgg16_caffe"}


def draw_net(word: str) -> FCN:
    torch.manual_seed(1)
    net = create_model(word, num_classes=21, **{"model.head_width": 6, "model.width": 4})
    assert isinstance(net, FCN)
    state = export_published(net)
    for name, tensor in state.items():
        if not name.startswith("upscore"):
            fan = tensor[0].numel() if tensor.dim() > 1 else 1
            state[name] = torch.randn(tensor.shape) * (2 / fan) ** 0.5
    return load_published(net, state)


def score_by_hand(word: str, net: FCN, root: Path) -> NDArray[np.int64]:
    """The confusion matrix over seg11valid, from the files alone."""
    place = root / "VOCdevkit" / "VOC2012"
    total, state = np.zeros((21, 21), np.int64), export_published(net, dense=True)
    for name in sorted(set(voc.VAL) - set(voc.SBD_TRAIN)):
        picture = np.asarray(Image.open(place / "JPEGImages" / f"{name}.jpg")).copy()
        truth = np.asarray(Image.open(place / "SegmentationClass" / f"{name}.png"))
        image = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            found = reference(word, state, image.double()).argmax(1)[0].numpy()
        seen = truth != 255
        np.add.at(total, (truth[seen], found[seen]), 1)
    return total


@pytest.mark.parametrize("word", thin_out(["fcn8s_caffe", "fcn16s_caffe", "fcn32s_caffe"], every=3))
def test_the_papers_four_scores_are_those_of_a_reference(word: str, tmp_path: Path) -> None:
    root, net = voc.make(tmp_path / "pascal"), draw_net(word)
    data = voc_module(str(root), cache=str(tmp_path / "cache"))
    training = TrainerSettings(accelerator="cpu", precision="32-true")
    (tmp_path / "run").mkdir()
    Evaluate(None, net.eval(), data, training, {**WORDS, "model": word}).run(tmp_path / "run")
    with np.load(tmp_path / "run" / "confusions.npz") as kept:
        found = kept["matrices"].sum(0)
    hist = score_by_hand(word, net.double(), root)
    assert found.sum() == hist.sum()
    # float32 against float64 may decide a tie of two classes otherwise
    assert np.abs(found - hist).sum() <= 2e-4 * hist.sum()
    total, right = found.sum(1), np.diag(found).astype(float)
    with np.errstate(invalid="ignore"):
        accuracy, iou = right / total, right / (total + found.sum(0) - right)
    scores = json.loads((tmp_path / "run" / "metrics.json").read_text())["seg11valid"]
    assert scores["pixel_accuracy"] == pytest.approx(right.sum() / total.sum())
    assert scores["mean_accuracy"] == pytest.approx(np.nanmean(accuracy))
    assert scores["mean_iou"] == pytest.approx(np.nanmean(iou))
    assert scores["fw_iou"] == pytest.approx(np.nansum(total * iou) / total.sum())


def test_weights_of_vgg_alone_begin_a_training_and_are_not_scored(tmp_path: Path) -> None:
    net = draw_net("fcn16s_caffe")
    encoder = {
        name: tensor
        for name, tensor in export_published(net).items()
        if not name.startswith(("score", "upscore"))
    }
    flat = {**encoder, "fc8.weight": torch.zeros(3, 6), "fc8.bias": torch.zeros(3)}
    for name in ("fc6.weight", "fc7.weight"):
        flat[name] = encoder[name].flatten(1)
    other = draw_net("fcn8s_caffe")
    torch.nn.init.ones_(other.score_fr.weight)
    load_published(other, flat)
    taken = export_published(other)
    assert all(torch.equal(taken[name], tensor) for name, tensor in encoder.items())
    assert not other.score_fr.weight.any()
    data = voc_module(str(voc.make(tmp_path / "pascal")), cache=str(tmp_path / "cache"))
    (tmp_path / "run").mkdir()
    with pytest.raises(UserError, match=r"no scores of classes.*\n.*weights=FILE"):
        Evaluate(None, other, data, TrainerSettings(accelerator="cpu"), WORDS).run(tmp_path / "run")
    with pytest.raises(UserError, match=r"missing: conv1_1\.bias"):
        load_published(other, {k: v for k, v in flat.items() if k != "conv1_1.bias"})
