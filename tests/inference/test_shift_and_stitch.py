"""Shift-and-stitch and à trous against the network scored at every pixel, one window at a time."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fcn_lab import create_model
from fcn_lab.cost.memory import count_peak_bytes
from fcn_lab.encoders import VGG16Encoder
from fcn_lab.encoders.caffe_vgg import build_vgg16
from fcn_lab.errors import UserError
from fcn_lab.inference.shift_and_stitch import (
    Atrous,
    ShiftAndStitch,
    remove_strides,
    shift_and_stitch,
)
from fcn_lab.networks.fcn import FCN
from fcn_lab.networks.weights.published import published_fcn
from fcn_lab.tasks.evaluate import Evaluate
from fcn_lab.upsampling import Bilinear
from support.commandline import METRICS, TypeLine
from support.places import CONF
from support.tiny import WORDS, make_train

FIELD, STRIDE = 1 + 2 + 1 + 2 * 4 + 4 + 4 * 2, 4  # of the chain below


def chain() -> nn.Sequential:
    """Convolutions and poolings without padding: what a window scores, it scores anywhere."""
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 4, 3, stride=2, dilation=2), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.MaxPool2d(2, 1), nn.Conv2d(4, 2, 3)),
    ).double().eval()  # fmt: skip


def one_window_at_a_time(net: nn.Module, image: Tensor, field: int) -> Tensor:
    """The stride-1 network, from its definition."""
    height, width = (size - field + 1 for size in image.shape[2:])
    with torch.no_grad():
        scores = [
            net(image[..., y : y + field, x : x + field])
            for y, x in product(range(height), range(width))
        ]
    return torch.cat(scores, 3).unflatten(3, (height, width))[:, :, 0]


@pytest.mark.parametrize("size", [(26, 31), (33, 24)])
def test_both_equal_the_network_scored_at_every_pixel(size: Sequence[int]) -> None:
    net, image = chain(), torch.rand(2, 3, *size, dtype=torch.float64)
    expected = one_window_at_a_time(net, image, FIELD)
    h, w = expected.shape[2:]
    with torch.no_grad():
        torch.testing.assert_close(remove_strides(net)(image), expected)
        for batch_size in (1, 5, 32):
            stitched = shift_and_stitch(net, image, STRIDE, batch_size)
            torch.testing.assert_close(stitched[..., :h, :w], expected)


def test_a_trous_shares_the_weights_and_leaves_the_network_alone() -> None:
    net, image = chain(), torch.rand(1, 3, 40, 40, dtype=torch.float64)
    with torch.no_grad():
        before = net(image)
        dense = remove_strides(net)
        assert torch.equal(net(image), before)
    assert {id(p) for p in dense.parameters()} == {id(p) for p in net.parameters()}
    with pytest.raises(UserError, match="no AvgPool2d"):
        remove_strides([nn.AvgPool2d(2)])


def narrow(weights: None) -> nn.Module:
    return build_vgg16(2)


def fcn(stride: int) -> FCN:
    net = FCN(VGG16Encoder(narrow, head_width=3), Bilinear, 3, stride)  # type: ignore[arg-type]
    return net.double().eval()


@pytest.mark.parametrize("size", [(1, 1), (37, 50)])
def test_every_fcn_can_be_stitched_at_any_size(size: Sequence[int]) -> None:
    image = torch.rand(2, 3, *size)
    for net in (create_model("fcn4s"), published_fcn(3, 8, width=2, head_width=2)):
        with torch.no_grad():
            assert ShiftAndStitch(net.eval(), 4)(image).shape[2:] == size


@pytest.mark.parametrize("wrap", [ShiftAndStitch, Atrous])
def test_dense_scores_are_not_rounded_under_autocast(wrap: type[nn.Module]) -> None:
    dense, image = wrap(fcn(32).float()), torch.rand(1, 3, 20, 24)
    with torch.no_grad():
        expected = dense(image)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(dense(image), expected)


@pytest.mark.parametrize(
    ("net", "level", "first"),
    [(fcn(2), 1, 0), (published_fcn(3, 8, width=2, head_width=3).double().eval(), 3, 96)],
)
def test_a_stitched_pixel_has_the_score_that_looks_at_it(net: FCN, level: int, first: int) -> None:
    """With nothing but the finest skip, dense scores are that skip's own without strides."""
    score, image = getattr(net, f"score_pool{level}"), torch.rand(1, 3, 90, 80).double()
    nn.init.zeros_(net.score_fr.weight)
    nn.init.zeros_(net.score_fr.bias)  # type: ignore[arg-type]
    nn.init.normal_(score.weight)
    skip = remove_strides([*net.encoder.chain(level), score])
    middle = slice(30, 50)
    with torch.no_grad():
        dense = ShiftAndStitch(net, 8)(image)
        expected = skip(net.encoder.normalize(image))[..., first:, first:]
    torch.testing.assert_close(dense[..., middle, middle], expected[..., middle, middle])


@pytest.mark.parametrize("word", sorted(file.stem for file in (CONF / "upsample").glob("*.yaml")))
def test_stitched_scores_lie_where_they_do_whatever_climbs(word: str) -> None:
    for model in ("fcn32s", "fcn8s", "fcn2s"):
        net, known = (
            create_model(model, name, num_classes=3).eval() for name in (word, "bilinear")
        )
        assert ShiftAndStitch(net).first == ShiftAndStitch(known).first
    with torch.no_grad():
        assert ShiftAndStitch(net)(torch.rand(1, 3, 37, 50)).shape == (1, 3, 37, 50)


@pytest.mark.slow
def test_every_32nd_a_trous_score_is_the_networks_own() -> None:
    """Where no tap reads beyond a border, 202 pixels from it."""
    net, image = fcn(32), torch.rand(1, 3, 480, 448, dtype=torch.float64)
    with torch.no_grad():
        dense, coarse = Atrous(net)(image), net.coarse_scores(net.encoder.normalize(image))[0]
    assert dense.shape[2:] == image.shape[2:]
    torch.testing.assert_close(dense[..., 16::32, 16::32][..., 7:8, 7:8], coarse[..., 7:8, 7:8])


def test_only_fcns_can_be_stitched_and_only_chains_dilated() -> None:
    with pytest.raises(UserError, match="needs an FCN"):
        ShiftAndStitch(create_model("unet"))
    with pytest.raises(UserError, match="model=fcn32s encoder=vgg16"):
        Atrous(create_model("fcn32s"))
    with pytest.raises(UserError, match="without skips"):
        Atrous(fcn(16))


@pytest.mark.slow
def test_the_batch_bounds_the_memory() -> None:
    net = fcn(8).float()
    few, many = (count_peak_bytes(ShiftAndStitch(net, size), 64, 64) for size in (1, 16))
    assert 8 * few < many < 16 * few + 3 * 4 * 64 * 64


def test_memory_is_counted_by_what_is_alive() -> None:
    """Input and output of each convolution; nothing before them."""
    net = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 5, 1), nn.Conv2d(5, 8, 1)).eval()
    assert count_peak_bytes(net, 10, 10) == 4 * 100 * max(3 + 8, 3 + 8 + 5, 3 + 5 + 8)


def test_an_evaluation_can_be_dense_and_tells_what_that_costs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = make_train({"max_epochs": 1}, net=fcn(2).float().train())
    task.run(tmp_path / "run")
    (tmp_path / "dense").mkdir()
    evaluate = Evaluate(
        tmp_path / "run", fcn(2).float(), task.data, task.training, WORDS, dense=ShiftAndStitch
    )
    evaluate.run(tmp_path / "dense")
    shown = capsys.readouterr().out
    assert "upsampled" in shown
    assert "ShiftAndStitch" in shown


def test_dense_is_a_word_of_the_command_line(type_line: TypeLine) -> None:
    type_line("hydra.run.dir=run", "model=fcn2s")
    Path("run/metrics.json").write_text(METRICS)
    asked = ("task=evaluate", "run=run")
    ended = type_line(*asked, "dense=shift_and_stitch", "dense.batch_size=3", "hydra.run.dir=one")
    assert ended.config["task"]["dense"]["batch_size"] == 3
    assert ended.config["words"]["model"] == "fcn2s"
    assert type_line(*asked, "hydra.run.dir=two").config["task"]["dense"] is None
