"""Networks, loss and crops of experiments/camvid_cpu/suspects do what they are said to do."""

import importlib
from collections.abc import Iterator
from itertools import accumulate
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn

from fcn_lab.config.frozen import read_frozen
from fcn_lab.encoders import TinyEncoder
from fcn_lab.encoders.base import STRIDE
from fcn_lab.networks.fcn import FCN
from fcn_lab.pixels import VOID
from fcn_lab.training.losses import CrossEntropy
from fcn_lab.upsampling import Bilinear
from support.commandline import TypeLine
from support.places import ROOT

FOLDER = ROOT / "experiments" / "camvid_cpu" / "suspects"
K = 4


@pytest.fixture(scope="module")
def suspects() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module("suspects")


def build(kind: type[FCN]) -> FCN:
    torch.manual_seed(0)
    return kind(TinyEncoder((4,) * 5, head_width=4), Bilinear, K, 2)


def image() -> Tensor:
    return torch.rand(2, 3, 40, 72, generator=torch.Generator().manual_seed(1))


def test_supervision_changes_no_score_and_hands_on_those_of_every_coarser_stride(
    suspects: ModuleType,
) -> None:
    plain, supervised = build(FCN), build(suspects.SupervisedFCN)
    with torch.no_grad():
        nn.init.normal_(plain.score_pool4.weight)  # type: ignore[union-attr, arg-type]
        supervised.load_state_dict(plain.state_dict())
        scores = supervised.eval()(image())
        assert torch.equal(scores, plain.eval()(image()))
        assert not hasattr(scores, "coarse")
        # layers that score alike everywhere: each fused pool adds its constant
        layers = [supervised.score_fr, *(getattr(supervised, f"score_pool{i}") for i in (4, 3, 2))]
        for constant, layer in enumerate(layers, start=1):
            nn.init.zeros_(layer.weight)
            nn.init.constant_(layer.bias, constant)
        coarse = supervised.train()(image()).coarse
    assert [score.shape for score in coarse] == [(2, K, 40, 72)] * (STRIDE.bit_length() - 2)
    for score, total in zip(coarse, accumulate(range(1, 5)), strict=True):
        assert torch.equal(score[:, :, 8, 8], torch.full((2, K), float(total)))


def test_a_loss_of_coarse_scores_is_their_mean_and_falls_back_to_the_loss(
    suspects: ModuleType,
) -> None:
    rng = torch.Generator().manual_seed(2)
    scores, first, second = torch.rand(3, 1, K, 5, 6, generator=rng)
    target = torch.randint(K, (1, 5, 6), generator=rng)
    loss = CrossEntropy()
    supervised = suspects.DeepSupervision(loss, 0.5)
    assert supervised(scores, target) == loss(scores, target)
    scores.coarse = [first, second]
    expected = loss(scores, target) + (loss(first, target) + loss(second, target)) / 4
    assert supervised(scores, target) == pytest.approx(float(expected))


def test_a_balanced_crop_holds_a_pixel_of_a_class_drawn_evenly(suspects: ModuleType) -> None:
    crops = importlib.import_module("crops")
    balanced = crops.BalancedCrops(crop=(7, 9))
    label = np.full((20, 30), VOID, np.uint8)
    # each pixel's own colour tells where it was
    image = np.arange(label.size * 3, dtype=np.uint16).reshape(*label.shape, 3).astype(np.uint8)
    assert balanced(image, label, seed=0)[1].shape == (7, 9)
    label[0, 29] = 1
    assert all(1 in balanced(image, label, seed)[1] for seed in range(50))
    label[label == VOID] = 0
    views = sliding_window_view(np.dstack([image, label]), (7, 9), axis=(0, 1))
    count = 0
    for seed in range(200):
        crop = np.dstack(balanced(image, label, seed)).transpose(2, 0, 1)
        assert (views == crop).all((2, 3, 4)).any()
        count += 1 in crop[3]
    # half of them by the draw of the class, and a few of the others by chance
    assert 80 < count < 130


def test_a_convolved_score_begins_as_the_coarser_net(suspects: ModuleType) -> None:
    plain, convolved = build(FCN), build(suspects.ConvolvedFCN)
    missing, surplus = convolved.load_state_dict(
        {name: value for name, value in plain.state_dict().items() if "score_pool" not in name},
        strict=False,
    )
    assert {name.split(".")[0] for name in missing} == {f"score_pool{i}" for i in range(1, 5)}
    assert surplus == []
    with torch.no_grad():
        assert torch.equal(convolved.eval()(image()), plain.eval()(image()))
        nn.init.normal_(convolved.score_pool2[1].weight)  # type: ignore[index, union-attr, arg-type]
        assert not torch.equal(convolved(image()), plain(image()))


@pytest.mark.parametrize("model", ["fcn2s_convolved", "fcn2s_supervised"])
def test_the_words_of_the_trial_are_typed_as_its_header_says(
    model: str, type_line: TypeLine
) -> None:
    line = (f"--config-dir={FOLDER}", "experiment=suspects", f"model={model}", "data=synthetic")
    ended = type_line(*line, "hydra.run.dir=here")
    assert ended.status == 0, ended.err
    task = read_frozen(ended.folder / "config.yaml")["task"]
    assert task["net"]["_target_"].startswith("suspects.")
    assert task["net"]["stride"] == 2
    assert task["loss"]["_target_"] == "suspects.DeepSupervision"
    assert task["loss"]["loss"]["weights"] == [1.0, 1.0]
