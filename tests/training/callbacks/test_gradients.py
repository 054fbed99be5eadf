"""Gradient norms by stage, and the same nets without their skips."""

import csv
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fcn_lab.encoders import SmpEncoder, TinyEncoder
from fcn_lab.encoders.vgg import VGG16Encoder
from fcn_lab.errors import UserError
from fcn_lab.networks.fcn import FCN
from fcn_lab.networks.unet import UNet
from fcn_lab.training import freeze
from fcn_lab.training.callbacks.gradients import find_stages, gradient_norm
from fcn_lab.training.settings import TrainerSettings
from fcn_lab.upsampling import Nearest
from support.tiny import make_train

SMALL: dict[str, Any] = {"widths": (4, 4, 6, 6, 8), "depths": (1, 1, 1, 1), "head_width": 8}
NETS = [partial(FCN, stride=8), partial(UNet, width=4)]
TINY_STAGES = ["stem", "stages.0", "stages.1", "stages.2", "stages.3", "head"]


def twins(make: partial[nn.Module]) -> list[nn.Module]:
    """The same net with and without its skips."""
    nets = []
    for skips in (True, False):
        torch.manual_seed(0)
        encoder = TinyEncoder(**SMALL, dropout=0.0)
        nets.append(make(encoder=encoder, upsample=Nearest, num_classes=3, skips=skips))
    return nets


def backward(net: nn.Module) -> list[Tensor]:
    """The encoder's gradients on a fixed batch."""
    draw = torch.Generator().manual_seed(1)
    images = torch.rand(2, 3, 64, 64, generator=draw)
    target = torch.randint(3, (2, 64, 64), generator=draw)
    net.zero_grad()
    F.cross_entropy(net.train()(images), target).backward()
    assert isinstance(net.encoder, nn.Module)
    return [p.grad.clone() for p in net.encoder.parameters() if p.grad is not None]


@pytest.mark.parametrize("make", NETS)
def test_without_skips_a_net_has_the_same_parameters(make: partial[nn.Module]) -> None:
    these, those = (net.state_dict() for net in twins(make))
    assert list(these) == list(those)
    assert all(map(torch.equal, these.values(), those.values()))


@pytest.mark.parametrize("make", NETS)
def test_without_skips_scores_depend_on_the_image_through_the_head_alone(
    make: partial[nn.Module],
) -> None:
    for net, skips in zip(twins(make), (True, False), strict=True):
        for parameter in net.parameters():  # the score layers of a fresh FCN are zero
            nn.init.normal_(parameter, std=0.1)
        encode = net.eval().encoder.forward  # type: ignore[union-attr]

        def without_head(x: Tensor, encode: Any = encode) -> Any:  # noqa: ANN401
            features = encode(x)
            return features._replace(head=features.head * 0)

        net.encoder.forward = without_head  # type: ignore[union-attr]
        one, other = (net(torch.full((1, 3, 64, 64), grey)) for grey in (0.2, 0.8))
        assert torch.equal(one, other) != skips


def test_at_its_first_step_an_fcn_s_skips_hand_no_gradient_back_and_then_they_do() -> None:
    these, those = twins(NETS[0])
    assert all(map(torch.equal, backward(these), backward(those)))
    for net in (these, those):
        torch.optim.SGD(net.parameters(), lr=0.1).step()
    assert not all(map(torch.equal, backward(these), backward(those)))


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        (TinyEncoder(**SMALL), TINY_STAGES),
        (
            SmpEncoder("resnet18", head_width=4),
            ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4"],
        ),
    ],
)
def test_stages_are_those_of_the_encoder_and_hold_all_its_parameters(
    encoder: nn.Module, expected: list[str]
) -> None:
    found = find_stages(encoder)
    assert [name.removeprefix("encoder.") for name in found if name != "fc7"] == expected
    assert sum(map(len, found.values())) == len(list(encoder.parameters()))


def test_vgg_has_its_five_stages_and_its_two_layers() -> None:
    with torch.device("meta"):
        assert list(find_stages(VGG16Encoder())) == [
            *(f"stages.{i}" for i in range(5)),
            "fc6",
            "fc7",
        ]


def test_a_norm_is_the_root_of_the_sum_of_all_squares() -> None:
    net = twins(NETS[0])[0]
    backward(net)
    everything = [p for p in net.parameters() if p.grad is not None]
    parts = [gradient_norm(parameters) for parameters in find_stages(net.encoder).values()]  # type: ignore[arg-type]
    encoder = [p for p in net.encoder.parameters()]  # type: ignore[union-attr]
    assert torch.stack(parts).square().sum().sqrt().item() == pytest.approx(
        gradient_norm(encoder).item()
    )
    flat = torch.cat([p.grad.flatten() for p in everything if p.grad is not None])
    assert gradient_norm(everything).item() == pytest.approx(flat.norm().item())


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "gradients.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_run_notes_a_row_every_so_many_steps_and_a_resume_neither_loses_nor_repeats_one(
    tmp_path: Path,
) -> None:
    def train(epochs: int, **fields: object) -> None:
        torch.manual_seed(0)
        net = FCN(TinyEncoder(**SMALL), Nearest, 3, 8)
        make_train({"max_epochs": epochs, "gradients_every": 3}, net=net, **fields).run(tmp_path)

    train(1)
    first = rows(tmp_path)
    assert list(first[0]) == ["step", *TINY_STAGES]
    assert [row["step"] for row in first] == ["0", "3"]
    assert all(float(row[stage]) > 0 for row in first for stage in ("stem", "head"))
    (tmp_path / "metrics.json").unlink()
    with (tmp_path / "gradients.csv").open("a") as file:
        file.write("6,1,1,1,1,1,1\n")  # of steps whose checkpoint was never written
    train(2, resume=True)
    assert rows(tmp_path)[:2] == first
    assert [row["step"] for row in rows(tmp_path)] == ["0", "3", "6"]
    assert rows(tmp_path)[2]["stem"] != "1"


def test_a_note_every_zero_steps_is_refused() -> None:
    with pytest.raises(UserError, match=r"^TrainerSettings\(gradients_every=0\): expected"):
        TrainerSettings(gradients_every=0)


@pytest.mark.parametrize("act", ["preflight", "run"])
def test_gradients_of_an_encoder_that_is_not_trained_are_refused(act: str, tmp_path: Path) -> None:
    task = make_train(
        {"gradients_every": 1, "max_epochs": 1},
        net=twins(NETS[0])[0],
        freeze=freeze.Encoder(),
    )
    with pytest.raises(UserError, match=r"^trainer\.gradients_every: no stage .*\n.*=null"):
        task.preflight(False) if act == "preflight" else task.run(tmp_path / "run")


def test_a_stage_without_gradients_has_its_zero_where_the_network_is() -> None:
    norm = gradient_norm([nn.Parameter(torch.zeros(2, device="meta"))])
    assert norm.device.type == "meta"
    assert gradient_norm([nn.Parameter(torch.zeros(2))]) == 0
